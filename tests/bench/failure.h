// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

namespace memfail::bench {

// Ends the run with one line; main() prints it. Children end with their owners.
[[noreturn]] inline void fail(const std::string& what) { throw std::runtime_error(what); }

// The same for a system call's result: returns it unless it is negative.
template <typename T>
T must(T result, const char* what) {
  if (result < 0) fail(std::string(what) + ": " + std::generic_category().message(errno));
  return result;
}

}  // namespace memfail::bench
