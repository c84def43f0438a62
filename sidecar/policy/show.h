// SPDX-License-Identifier: BSD-3-Clause
//
// A policy, and the rules of one VM, shown to people and programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/policy/policy_set.h"

namespace memfail::policy {

// Every member by its name: {"policy": "recommended", ..., "storm_seconds": 60}.
// Under policy `qemu` only that, as no other applies.
nlohmann::ordered_json rules_json(const decision::Rules& rules);

// {"vm", "digest", "entry": 2 or null, "name": its pattern or null, "rules"}. The
// VM's name may be anything: dump with an error handler.
nlohmann::ordered_json effective_json(const PolicySet& set, std::string_view vm_name);

// The same for people: a line that says which entry decides, then a line a member
// with its value and where that comes from.
std::string effective_text(const PolicySet& set, std::string_view vm_name);

// The members in which `rules` differ from `base`, in the order of Member; of those
// that apply.
std::vector<Member> differences(const decision::Rules& rules, const decision::Rules& base);

}  // namespace memfail::policy
