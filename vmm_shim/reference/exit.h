// SPDX-License-Identifier: BSD-3-Clause
//
// How this program ends early: one line that says what, why, and a status.
#pragma once

#include <string>

namespace memfail::reference {

// Exit statuses other than 0.
inline constexpr int kExitFailure = 1;
inline constexpr int kExitAborted = 70;   // ops.abort: the failure hit the VMM itself
inline constexpr int kExitNoKvm = 77;     // nothing to run on

// Prints "memfail-vmm: <what>" and exits.
[[noreturn]] void die(const std::string& what, int status = kExitFailure);

// Returns `result`, or dies naming `what` and errno when it is negative.
int must(int result, const char* what);

}  // namespace memfail::reference
