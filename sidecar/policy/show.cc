// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/show.h"

#include <cstdio>

#include "sidecar/policy/check.h"
#include "sidecar/policy/digest.h"
#include "sidecar/policy/utf8.h"

namespace memfail::policy {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kShown = Glob::kMaxPattern;

// Only `policy` itself applies under qemu.
std::size_t applying(const decision::Rules& rules) {
  return rules.policy == decision::Policy::kQemu ? 1 : kMembers;
}

ordered_json json_of(Member member, std::uint32_t number) {
  switch (info(member).kind) {
    case Kind::kNumber:
      return number;
    case Kind::kTruth:
      return number != 0;
    case Kind::kWord:
      break;
  }
  return spelled(member, number);
}

std::string origin(const PolicySet& set, std::optional<std::size_t> entry, std::size_t member) {
  if (entry && set.vms()[*entry].given[member]) return place_of_vm(*entry);
  return set.default_given()[member] ? "default" : "built in";
}

std::string member_line(std::string_view name, std::string_view value, std::string_view from) {
  char line[80];
  std::snprintf(line, sizeof line, "  %-15.*s %-12.*s ", static_cast<int>(name.size()), name.data(),
                static_cast<int>(value.size()), value.data());
  return line + std::string(from) + '\n';
}

}  // namespace

ordered_json rules_json(const decision::Rules& rules) {
  ordered_json json;
  for (std::size_t i = 0; i < applying(rules); ++i) {
    const Member member = member_at(i);
    json[std::string(info(member).name)] = json_of(member, number_of(rules, member));
  }
  return json;
}

ordered_json effective_json(const PolicySet& set, std::string_view vm_name) {
  const auto entry = set.entry_for(vm_name);
  ordered_json json{{"vm", vm_name},
                    {"digest", digest_text(set.digest())},
                    {"entry", nullptr},
                    {"name", nullptr},
                    {"rules", rules_json(set.rules_for(vm_name))}};
  if (entry) {
    json["entry"] = *entry;
    json["name"] = set.vms()[*entry].pattern;
  }
  return json;
}

std::string effective_text(const PolicySet& set, std::string_view vm_name) {
  const auto entry = set.entry_for(vm_name);
  const decision::Rules rules = set.rules_for(vm_name);
  std::string text = "VM \"" + shown(vm_name, kShown) + "\": ";
  text +=
      entry ? place_of_vm(*entry) + " \"" + shown(set.vms()[*entry].pattern, kShown) + "\" decides"
            : "no entry of vms matches, default decides";
  text += "; policy digest " + digest_text(set.digest()) + '\n';
  for (std::size_t i = 0; i < applying(rules); ++i) {
    const Member member = member_at(i);
    text += member_line(info(member).name, spelled(member, number_of(rules, member)),
                        origin(set, entry, i));
  }
  return text;
}

std::vector<Member> differences(const decision::Rules& rules, const decision::Rules& base) {
  std::vector<Member> different;
  for (std::size_t i = 0; i < applying(rules); ++i) {
    const Member member = member_at(i);
    if (number_of(rules, member) != number_of(base, member)) different.push_back(member);
  }
  return different;
}

}  // namespace memfail::policy
