// SPDX-License-Identifier: BSD-3-Clause
//
// A child process for which the kernel can or allows less.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace memfail::test {

// The work's exit code; -1: it died.
inline int in_child(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

// From now on system call `number` fails with `error`; with `second` not 0 only where
// its second argument is that.
inline bool forbid(int number, std::uint32_t second, int error) {
  const auto load = static_cast<std::uint16_t>(BPF_LD | BPF_W | BPF_ABS);
  const auto equal = static_cast<std::uint16_t>(BPF_JMP | BPF_JEQ | BPF_K);
  const auto answer = static_cast<std::uint16_t>(BPF_RET | BPF_K);
  std::array<sock_filter, 6> program{{
      {load, 0, 0, offsetof(seccomp_data, nr)},
      {equal, static_cast<std::uint8_t>(second == 0 ? 2 : 0), 3,
       static_cast<std::uint32_t>(number)},
      {load, 0, 0, offsetof(seccomp_data, args) + 8},
      {equal, 0, 1, second},
      {answer, 0, 0, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)},
      {answer, 0, 0, SECCOMP_RET_ALLOW},
  }};
  const sock_fprog filter{program.size(), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace memfail::test
