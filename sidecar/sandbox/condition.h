// SPDX-License-Identifier: BSD-3-Clause
//
// What an allowed call's arguments must be, by the names that annotations use.
#pragma once

#include <seccomp.h>

#include <span>
#include <string_view>
#include <vector>

namespace memfail::sandbox {

// A call is allowed if one of these comparisons holds.
struct Condition {
  std::string_view call;
  std::string_view name;
  std::vector<scmp_arg_cmp> any_of;
};

// Null: there is none of that name for that call.
const Condition* find_condition(std::string_view call, std::string_view name);

}  // namespace memfail::sandbox
