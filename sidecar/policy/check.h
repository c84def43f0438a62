// SPDX-License-Identifier: BSD-3-Clause
//
// What a policy must satisfy beyond its shape: values in range, nothing that
// contradicts itself, nothing that can never act. Pure. The policy may come from
// anybody: time is bounded, and at most kMaxProblems are returned, in the order of
// the file.
#pragma once

#include "schema/policy_generated.h"
#include "sidecar/policy/problem.h"

namespace memfail::policy {

inline constexpr std::uint32_t kVersion = 1;

Problems check(const wire::PolicyFile& file);

// "vms[2]"
std::string place_of_vm(std::size_t index);

}  // namespace memfail::policy
