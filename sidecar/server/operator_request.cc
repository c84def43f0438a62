// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/operator_request.h"

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "sidecar/policy/digest.h"
#include "sidecar/policy/show.h"

namespace memfail::server {
namespace {

using Json = nlohmann::ordered_json;

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

Json error(std::string_view what) { return {{"error", what}}; }

std::string text_of(const Json& request, const char* member) {
  const auto found = request.find(member);
  return found != request.end() && found->is_string() ? found->get<std::string>() : "";
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::optional<std::vector<std::byte>> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::vector<std::byte> bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<std::byte>(high << 4 | low));
  }
  return bytes;
}

struct Call {
  const Json& request;
  const StatusSources& sources;
  OperatorTarget& target;
};

Json show_status(const Call& call) { return status(call.sources); }

Json show_pages(const Call& call) { return pages(call.sources, text_of(call.request, "vm")); }

Json show_policy(const Call& call) {
  const std::string vm = text_of(call.request, "vm");
  Json answer = policy::effective_json(call.sources.policy_set, vm);
  answer["text"] = policy::effective_text(call.sources.policy_set, vm);
  return answer;
}

Json load_policy(const Call& call) {
  const auto binary = from_hex(text_of(call.request, "binary"));
  if (!binary) return error("'binary' is not the hexadecimal form of a policy");
  const std::string name = text_of(call.request, "name");
  const auto digest = call.target.load_policy(name.substr(0, 256), *binary);
  if (!digest) return error("refused, the policy in force stays: " + digest.error());
  return {{"policy", name}, {"digest", policy::digest_text(*digest)}};
}

// Null: the answer comes later.
Json give_order(const Call& call, const std::expected<OrderRequest, std::string>& request) {
  if (!request) return error(request.error());
  const auto given = call.target.give_order(*request);
  return given ? Json() : error(given.error());
}

Json drill(const Call& call) { return give_order(call, drill_request(call.request)); }
Json inject(const Call& call) { return give_order(call, injection_request(call.request)); }

struct Command {
  std::string_view name;
  Json (*answer)(const Call&);
};

constexpr auto kCommands = std::to_array<Command>({
    {"status", show_status},
    {"pages", show_pages},
    {"policy-show", show_policy},
    {"policy-load", load_policy},
    {"drill", drill},
    {"inject", inject},
});

Json unknown(const std::string& name) {
  std::string known;
  for (const Command& command : kCommands) {
    known += (known.empty() ? "" : ", ") + std::string(command.name);
  }
  return error("unknown command '" + name.substr(0, 64) + "'; known: " + known);
}

}  // namespace

std::string answer_request(std::string_view request, const StatusSources& sources,
                           OperatorTarget& target) {
  const Json json = Json::parse(request, nullptr, false);
  if (!json.is_object() || !json.contains("command") || !json["command"].is_string()) {
    return line_of(error("the request is not a JSON object like {\"command\":\"status\"}"));
  }
  const std::string name = json["command"].get<std::string>();
  for (const Command& command : kCommands) {
    if (command.name != name) continue;
    const Json answer = command.answer({json, sources, target});
    return answer.is_null() ? std::string() : line_of(answer);
  }
  return line_of(unknown(name));
}

}  // namespace memfail::server
