// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/sandbox/condition.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace memfail::sandbox {
namespace {

// Linux compares all 64 bits; the kernel takes 32 of an int.
constexpr std::uint64_t kInt = 0xffffffff;

constexpr scmp_arg_cmp bits(unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}
constexpr scmp_arg_cmp is(unsigned argument, int value) {
  return bits(argument, kInt, static_cast<std::uint32_t>(value));
}

const std::vector<Condition>& conditions() {
  static const std::vector<Condition> all{
      // Memory that is written is never run.
      {"mmap", "no-exec", {bits(2, PROT_EXEC, 0)}},
      {"mprotect", "no-exec", {bits(2, PROT_EXEC, 0)}},
      {"madvise", "dont-fork", {is(2, MADV_DONTFORK)}},
      {"madvise", "dont-need", {is(2, MADV_DONTNEED)}},
      // Not F_SETFL: O_NONBLOCK belongs to the file, which a VMM has as well, and its kick
      // must not block. Not F_SETOWN, not leases.
      {"fcntl", "seals", {is(1, F_GET_SEALS), is(1, F_ADD_SEALS)}},
      {"fcntl", "dup", {is(1, F_DUPFD_CLOEXEC)}},
      {"fcntl", "unlock", {is(1, F_OFD_SETLK)}},
      // Own waits, the wake of a vCPU that waits in shared memory, and pthread_join().
      {"futex", "own", {is(1, FUTEX_WAIT_PRIVATE), is(1, FUTEX_WAKE_PRIVATE)}},
      {"futex", "wake-shared", {is(1, FUTEX_WAKE)}},
      {"futex",
       "condition-variable",
       {is(1, FUTEX_WAIT_BITSET_PRIVATE), is(1, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME)}},
      {"futex", "join", {is(1, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME)}},
      {"getsockopt", "peer", {is(2, SO_PEERCRED), is(2, SO_PEERSEC)}},
      {"shutdown", "both", {is(1, SHUT_RDWR)}},
      {"write", "stderr", {is(0, STDERR_FILENO)}},
      {"writev", "stderr", {is(0, STDERR_FILENO)}},
      {"preadv2", "no-wait", {is(5, RWF_NOWAIT)}},
      {"fallocate", "grow", {is(1, 0)}},
      {"pidfd_send_signal", "probe", {is(1, 0)}},
  };
  return all;
}

}  // namespace

const Condition* find_condition(std::string_view call, std::string_view name) {
  const auto found = std::ranges::find_if(
      conditions(), [&](const Condition& one) { return one.call == call && one.name == name; });
  return found == conditions().end() ? nullptr : &*found;
}

}  // namespace memfail::sandbox
