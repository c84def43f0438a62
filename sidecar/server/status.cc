// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/status.h"

#include <nlohmann/json.hpp>

#include "sidecar/events/event_json.h"

namespace memfail::server {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

const char* state_name(session::SessionState state) {
  switch (state) {
    case session::SessionState::kAttached:
      return "attached";
    case session::SessionState::kDetached:
      return "detached";
    case session::SessionState::kExited:
      break;
  }
  return "exited";
}

Json session_json(const session::Session& session, std::uint64_t now_ns) {
  const session::IntakeCounts& counts = session.intake().counts();
  return {{"session", events::hex_id(session.label().session)},
          {"uuid", session.label().uuid},
          {"name", session.label().name},
          {"state", state_name(session.state())},
          {"ready", session.is_ready()},
          {"uid", session.config().identity.uid},
          {"vcpus", session.config().guest.vcpus},
          {"regions", session.regions().size()},
          {"incidents", counts.incidents},
          {"open", session.intake().open()},
          {"lost", counts.lost},
          {"late", counts.late},
          {"uptime-seconds", (now_ns - session.config().started_ns) / kNsPerSecond}};
}

Json status(const StatusSources& sources) {
  Json sessions = Json::array();
  sources.table.visit([&](const session::Session& session) {
    sessions.push_back(session_json(session, sources.now_ns));
  });
  return {{"version", sources.version},
          {"policy", sources.policy},
          {"sandbox", sources.sandbox_layers},
          {"events",
           {{"journal", sources.records.id()},
            {"first-seq", sources.records.first_seq()},
            {"next-seq", sources.records.next_seq()}}},
          {"sessions", std::move(sessions)}};
}

}  // namespace

std::string answer_request(std::string_view request, const StatusSources& sources) {
  const Json json = Json::parse(request, nullptr, false);
  if (!json.is_object() || !json.contains("command") || !json["command"].is_string()) {
    return line_of({{"error", "the request is not a JSON object like {\"command\":\"status\"}"}});
  }
  const std::string command = json["command"].get<std::string>();
  if (command == "status") return line_of(status(sources));
  return line_of({{"error", "unknown command '" + command.substr(0, 64) + "'; known: status"}});
}

}  // namespace memfail::server
