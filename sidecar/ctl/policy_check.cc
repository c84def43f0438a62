// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/policy_check.h"

#include <iostream>
#include <nlohmann/json.hpp>

#include "sidecar/ctl/view.h"
#include "sidecar/policy/compile.h"
#include "sidecar/policy/digest.h"
#include "sidecar/policy/load.h"
#include "sidecar/policy/show.h"
#include "sidecar/policy/utf8.h"

namespace memfail::ctl {
namespace {

using nlohmann::ordered_json;
using policy::Member;
using policy::PolicySet;

constexpr std::size_t kShown = policy::Glob::kMaxPattern;

std::string line_of(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + '\n';
}

std::string value(const decision::Rules& rules, Member member) {
  return policy::spelled(member, policy::number_of(rules, member));
}

// "untold pause (not reset), repeat_limit 4 (not 16)"
std::string changes(const decision::Rules& rules, const decision::Rules& base,
                    const std::string& none) {
  std::string text;
  for (const Member member : policy::differences(rules, base)) {
    text += (text.empty() ? "" : ", ") + std::string(policy::info(member).name) + ' ' +
            value(rules, member) + " (not " + value(base, member) + ')';
  }
  return text.empty() ? none : text;
}

ordered_json differs_json(const decision::Rules& rules, const decision::Rules& base) {
  ordered_json names = ordered_json::array();
  for (const Member member : policy::differences(rules, base)) {
    names.push_back(policy::info(member).name);
  }
  return names;
}

}  // namespace

std::string policy_summary(const std::string& file, const PolicySet& set, bool colour) {
  const std::size_t count = set.vms().size();
  std::string text = file + ": good, digest " + policy::digest_text(set.digest()) + ", " +
                     std::to_string(count) + (count == 1 ? " pattern\n" : " patterns\n");
  std::vector<std::vector<std::string>> rows{{"VMS", "RULES"}};
  for (const policy::VmRules& vm : set.vms()) {
    rows.push_back({policy::shown(vm.pattern, kShown),
                    changes(vm.rules, set.default_rules(), "as the default")});
  }
  rows.push_back({count == 0 ? "(all)" : "(others)",
                  "default: " + changes(set.default_rules(), {}, "as built in, recommended")});
  return text + table(rows, colour);
}

std::string policy_summary_json(const std::string& file, const PolicySet& set) {
  ordered_json vms = ordered_json::array();
  for (const policy::VmRules& vm : set.vms()) {
    vms.push_back({{"name", vm.pattern},
                   {"differs", differs_json(vm.rules, set.default_rules())},
                   {"rules", policy::rules_json(vm.rules)}});
  }
  return line_of({{"file", file},
                  {"good", true},
                  {"digest", policy::digest_text(set.digest())},
                  {"default",
                   {{"differs", differs_json(set.default_rules(), {})},
                    {"rules", policy::rules_json(set.default_rules())}}},
                  {"vms", std::move(vms)}});
}

std::string policy_problems(const std::string& file, const policy::Problems& problems) {
  std::string text;
  for (const policy::Problem& problem : problems) text += problem_line(problem, file) + '\n';
  if (problems.size() == policy::kMaxProblems) text += file + ": there may be more\n";
  return text;
}

std::string policy_problems_json(const std::string& file, const policy::Problems& problems) {
  ordered_json list = ordered_json::array();
  for (const policy::Problem& problem : problems) {
    ordered_json one;
    if (problem.position.line != 0) {
      one["line"] = problem.position.line;
      one["column"] = problem.position.column;
    }
    if (!problem.place.empty()) one["place"] = problem.place;
    one["text"] = problem.what;
    list.push_back(std::move(one));
  }
  return line_of({{"file", file}, {"good", false}, {"errors", std::move(list)}});
}

int check_policy(const std::string& file, bool as_json, bool colour) {
  const auto failed = [&](const policy::Problems& problems) {
    if (as_json) std::cout << policy_problems_json(file, problems);
    if (!as_json) std::cerr << policy_problems(file, problems);
    return 1;
  };
  const auto text = policy::read_text(file);
  if (!text) return failed({{"", text.error(), {}}});
  const auto binary = policy::compile(*text);
  if (!binary) return failed(binary.error());
  const auto set = PolicySet::from_binary(*binary);
  if (!set) return failed(set.error());
  std::cout << (as_json ? policy_summary_json(file, *set) : policy_summary(file, *set, colour));
  return 0;
}

}  // namespace memfail::ctl
