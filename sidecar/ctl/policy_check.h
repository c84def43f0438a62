// SPDX-License-Identifier: BSD-3-Clause
//
// `memfailctl policy check`: is this file a policy, and what does it change?
#pragma once

#include <string>

#include "sidecar/policy/policy_set.h"
#include "sidecar/policy/problem.h"

namespace memfail::ctl {

// Which VMs are spoken of, and how their rules differ from the default's.
std::string policy_summary(const std::string& file, const policy::PolicySet& set, bool colour);
std::string policy_summary_json(const std::string& file, const policy::PolicySet& set);

// A line a problem; the path of the file comes first in each.
std::string policy_problems(const std::string& file, const policy::Problems& problems);
std::string policy_problems_json(const std::string& file, const policy::Problems& problems);

// Prints one of these; returns the status to exit with.
int check_policy(const std::string& file, bool as_json, bool colour);

}  // namespace memfail::ctl
