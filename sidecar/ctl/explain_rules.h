// SPDX-License-Identifier: BSD-3-Clause
//
// Which rules `memfailctl explain` is to decide by.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "sidecar/decision/rules.h"

namespace memfail::ctl {

struct PolicyChoice {
  std::string policy = "recommended";  // built in, or a file
  std::string vm = {};                      // whose rules
  std::vector<std::string> rules = {};      // "untold=pause", over the built-in policy
};

struct ChosenRules {
  decision::Rules rules;
  std::string name;  // for people: "p.json, vms[0] "db-*""
};

// The error is one line.
std::expected<ChosenRules, std::string> rules_of(const PolicyChoice& choice);

}  // namespace memfail::ctl
