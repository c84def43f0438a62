// SPDX-License-Identifier: BSD-3-Clause
//
// Runs a system-call filter as the kernel does, in the test's own process.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace memfail::sandbox::testing {

struct Call {
  long number = 0;
  std::array<std::uint64_t, 6> arguments{};
  std::uint32_t architecture = 0xc000003e;  // AUDIT_ARCH_X86_64
};

// What the filter returns: SECCOMP_RET_*. `program`: struct sock_filter in a row. A program
// that the kernel would not take fails the test and returns 0.
std::uint32_t evaluate(const std::string& program, const Call& call);

}  // namespace memfail::sandbox::testing
