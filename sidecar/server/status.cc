// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/status.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "sidecar/events/event_json.h"
#include "sidecar/policy/digest.h"
#include "sidecar/server/trouble.h"

namespace memfail::server {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

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

// What operators may do to it.
Json allowed_json(std::uint64_t features) {
  Json list = Json::array();
  for (const wire::Feature one : {wire::Feature::drills, wire::Feature::injections}) {
    if ((features & static_cast<std::uint64_t>(one)) != 0) list.push_back(EnumNameFeature(one));
  }
  return list;
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
          {"allows", allowed_json(session.features())},
          {"open", session.intake().open()},
          {"lost", counts.lost},
          {"late", counts.late},
          {"backing-store", counts.backing_store},
          {"broken-pages", session.intake().poison().broken().size()},
          {"uptime-seconds", (now_ns - session.config().started_ns) / kNsPerSecond}};
}

// Whether what is recorded is as safe as was asked for, and what is not.
Json journal_json(journal::Journal& journal, std::uint64_t now_ns) {
  const journal::StoreStatus status = journal.store().status();
  return {
      {"directory", text_or_null(journal.directory())},
      {"front", text_or_null(journal.front_path())},
      {"front-used", status.front_used},
      {"front-capacity", status.front_capacity},
      {"degraded", status.degraded},
      {"trouble", text_or_null(trouble_text(status))},
      {"error", status.error == 0 ? Json() : Json(std::strerror(status.error))},
      {"disk-busy-ms", status.busy_since_ns == 0 ? 0 : (now_ns - status.busy_since_ns) / kNsPerMs},
      {"at-risk", status.at_risk},
      {"counted-only", status.counted_only},
      {"checkpoint-size", status.checkpoint_size},
      {"checkpoint-limit", status.checkpoint_limit},
      {"unrecorded", status.unrecorded}};
}

constexpr std::size_t kMostPages = 4096;  // of one VM, in an answer

Json hex_or_null(std::uint64_t address) {
  if (address == wire::kNoAddress) return {};
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(address));
  return text.data();
}

Json page_json(const session::Session& session, const session::Loss& loss, bool repaired) {
  const session::PoisonTable& table = session.intake().poison();
  return {{"vm", session.label().name},
          {"hva", hex_or_null(loss.range.hva())},
          {"gpa", hex_or_null(loss.gpa)},
          {"size", loss.range.bytes()},
          {"told-pages", table.told_pages(loss, session.guest_epoch())},
          {"reports", loss.reports},
          {"first-us", loss.first_us},
          {"last-us", loss.last_us},
          {"repaired", repaired},
          {"drill", loss.drill}};
}

void add_pages(Json& list, const session::Session& session) {
  const session::PoisonTable& table = session.intake().poison();
  const std::size_t most = list.size() + kMostPages;
  for (const auto& [number, loss] : table.broken()) {
    if (list.size() < most) list.push_back(page_json(session, loss, false));
  }
  for (const auto& [number, loss] : table.repaired()) {
    if (list.size() < most) list.push_back(page_json(session, loss, true));
  }
}

}  // namespace

Json status(const StatusSources& sources) {
  Json sessions = Json::array();
  sources.table.visit([&](const session::Session& session) {
    sessions.push_back(session_json(session, sources.now_ns));
  });
  return {{"version", sources.version},
          {"policy", sources.policy},
          {"policy-digest", policy::digest_text(sources.policy_set.digest())},
          {"sandbox", sources.wall.in_force},
          {"sandbox-grade", sources.wall.grade},
          {"sandbox-missing", sources.wall.missing},
          {"sandbox-warning", sources.wall.warning},
          {"events",
           {{"journal", sources.journal.store().id()},
            {"first-seq", sources.journal.store().first_seq()},
            {"next-seq", sources.journal.store().next_seq()}}},
          {"journal", journal_json(sources.journal, sources.now_ns)},
          {"sessions", std::move(sessions)}};
}

Json pages(const StatusSources& sources, std::string_view vm_name) {
  Json list = Json::array();
  sources.table.visit([&](const session::Session& session) {
    if (vm_name.empty() || session.label().name == vm_name) add_pages(list, session);
  });
  return {{"pages", std::move(list)}};
}

}  // namespace memfail::server
