// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/explain_rules.h"

#include <nlohmann/json.hpp>

#include "sidecar/policy/check.h"
#include "sidecar/policy/compile.h"
#include "sidecar/policy/load.h"
#include "sidecar/policy/utf8.h"

namespace memfail::ctl {
namespace {

using nlohmann::ordered_json;
using policy::PolicySet;

using Chosen = std::expected<ChosenRules, std::string>;

// 16 and true as they are; anything else is a word.
ordered_json value_of(const std::string& text) {
  const ordered_json value = ordered_json::parse(text, nullptr, false);
  return value.is_number() || value.is_boolean() ? value : ordered_json(text);
}

std::string text_of(const policy::Problem& problem) {
  const std::string_view inside = "default.";
  const std::string_view place = problem.place;
  const std::string name(place.starts_with(inside) ? place.substr(inside.size()) : place);
  return "--rule: " + (name.empty() ? "" : name + ": ") + problem.what;
}

// As a policy file would give them, so that it is checked as one.
Chosen built_in_but_for(const std::vector<std::string>& rules) {
  ordered_json members = ordered_json::object();
  std::string name = "recommended with ";
  for (const std::string& rule : rules) {
    const std::size_t sign = rule.find('=');
    if (sign == std::string::npos) {
      return std::unexpected("--rule: \"" + rule + "\": must be MEMBER=VALUE, as untold=pause");
    }
    members[rule.substr(0, sign)] = value_of(rule.substr(sign + 1));
    name += (&rule == rules.data() ? "" : ", ") + rule;
  }
  const ordered_json file{{"version", 1}, {"default", members}};
  const auto binary =
      policy::compile(file.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  if (!binary) return std::unexpected(text_of(binary.error().front()));
  const auto set = PolicySet::from_binary(*binary);
  if (!set) return std::unexpected(text_of(set.error().front()));
  return ChosenRules{set->default_rules(), name};
}

std::string name_of(const PolicyChoice& choice, const PolicySet& set) {
  if (PolicySet::built_in(choice.policy)) return choice.policy;
  const auto entry = set.entry_for(choice.vm);
  if (!entry) return choice.policy + ", default";
  return choice.policy + ", " + policy::place_of_vm(*entry) + " \"" +
         policy::shown(set.vms()[*entry].pattern, policy::Glob::kMaxPattern) + '"';
}

}  // namespace

Chosen rules_of(const PolicyChoice& choice) {
  if (!choice.rules.empty()) {
    if (choice.policy == "recommended") return built_in_but_for(choice.rules);
    return std::unexpected("--rule: goes with the built-in policy recommended alone, not with " +
                           choice.policy);
  }
  const auto set = policy::load(choice.policy);
  if (!set) return std::unexpected(set.error());
  return ChosenRules{set->rules_for(choice.vm), name_of(choice, *set)};
}

}  // namespace memfail::ctl
