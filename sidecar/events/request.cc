// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/events/request.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>
#include <vector>

#include "sidecar/decision/reason.h"
#include "sidecar/events/event_json.h"
#include "sidecar/policy/utf8.h"

namespace memfail::events {
namespace {

using Json = nlohmann::json;
using Taken = std::expected<void, std::string>;
using Names = std::span<const std::string_view>;

constexpr std::size_t kMaxShown = 64;

Taken refused(std::string_view member, std::string_view must, Names accepted = {}) {
  const std::string why = "\"" + policy::shown(member, kMaxShown) + "\" " + std::string(must);
  return std::unexpected(refusal_line(why, accepted));
}

Taken take_since(Request& request, const Json& value) {
  if (!value.is_number_unsigned())
    return refused("since", "must be a number from 0 (all there is)");
  request.since = value.get<std::uint64_t>();
  return {};
}

Taken take_follow(Request& request, const Json& value) {
  if (!value.is_boolean()) return refused("follow", "must be true or false");
  request.follow = value.get<bool>();
  return {};
}

Taken take_journal(Request& request, const Json& value) {
  if (!value.is_string()) return refused("journal", "must be the id that the header line gave");
  request.journal = value.get<std::string>();
  return {};
}

// A text, or a list of them that is not empty; none otherwise.
std::vector<std::string> texts_of(const Json& value) {
  if (value.is_string()) return {value.get<std::string>()};
  std::vector<std::string> texts;
  if (!value.is_array()) return texts;
  for (const Json& one : value) {
    if (!one.is_string()) return {};
    texts.push_back(one.get<std::string>());
  }
  return texts;
}

Taken take_vm(Request& request, const Json& value) {
  const std::vector<std::string> patterns = texts_of(value);
  if (patterns.empty() || patterns.size() > Filter::kMaxVms) {
    return refused("vm", "must be a name like \"db*\", a uuid or a session id, or a list of 1 to " +
                             std::to_string(Filter::kMaxVms) + " of these");
  }
  for (const std::string& pattern : patterns) {
    if (const auto added = request.filter.add_vm(pattern); !added) {
      return refused("vm", "'" + policy::shown(pattern, kMaxShown) + "': " + added.error());
    }
  }
  return {};
}

// Members whose values are of a closed list: `add` takes one, false where it is unknown.
template <typename Add>
Taken take_names(std::string_view member, const Json& value, Names known, Add add) {
  const std::vector<std::string> names = texts_of(value);
  if (names.empty()) return refused(member, "must be one of these names, or a list of them", known);
  for (const std::string& name : names) {
    if (!add(name)) {
      return refused(member, "has no '" + policy::shown(name, kMaxShown) + "'", known);
    }
  }
  return {};
}

Taken take_action(Request& request, const Json& value) {
  std::vector<std::string_view> known;
  for (const wire::Action action : wire::EnumValuesAction()) {
    known.emplace_back(wire::EnumNameAction(action));
  }
  return take_names("action", value, known, [&](std::string_view name) {
    const auto found = std::ranges::find(known, name);
    if (found == known.end()) return false;
    request.filter.add_action(wire::EnumValuesAction()[found - known.begin()]);
    return true;
  });
}

Taken take_reason(Request& request, const Json& value) {
  const Names known = decision::EnumNames<wire::Reason>::kNames;
  return take_names("reason", value, known, [&](std::string_view name) {
    const auto reason = decision::from_name<wire::Reason>(name);
    if (reason) request.filter.add_reason(*reason);
    return reason.has_value();
  });
}

struct Member {
  std::string_view name;
  Taken (*take)(Request&, const Json&);
};

constexpr auto kMembers = std::to_array<Member>({
    {"since", take_since},
    {"follow", take_follow},
    {"journal", take_journal},
    {"vm", take_vm},
    {"action", take_action},
    {"reason", take_reason},
});

Taken take_member(Request& request, const std::string& name, const Json& value) {
  std::vector<std::string_view> known;
  for (const Member& member : kMembers) {
    if (member.name == name) return member.take(request, value);
    known.push_back(member.name);
  }
  return refused(name, "is no member of a request", known);
}

}  // namespace

std::expected<Request, std::string> parse_request(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) {
    return std::unexpected(refusal_line(
        R"(the request is not a JSON object on one line, like {"since":0,"follow":true} or )"
        R"({"vm":"db*","action":["reset","fatal"]})"));
  }
  Request request;
  for (const auto& [name, value] : json.items()) {
    if (auto taken = take_member(request, name, value); !taken) {
      return std::unexpected(std::move(taken.error()));
    }
  }
  return request;
}

}  // namespace memfail::events
