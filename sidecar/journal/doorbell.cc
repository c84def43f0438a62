// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop journal): futex=own
#include "sidecar/journal/doorbell.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace memfail::journal {

void Doorbell::ring() {
  shm::full_fence();
  if (sleeping_.load(std::memory_order_relaxed) == 0) return;
  if (sleeping_.exchange(0, std::memory_order_relaxed) == 0) return;
  ::syscall(SYS_futex, &sleeping_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

bool Doorbell::sleep(std::optional<std::chrono::steady_clock::time_point> limit) {
  timespec left{};
  if (limit) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= *limit) return false;
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(*limit - now).count();
    left.tv_sec = ns / 1'000'000'000;
    left.tv_nsec = ns % 1'000'000'000;
  }
  // Returns early when rung, or for no reason at all: the caller looks again.
  ::syscall(SYS_futex, &sleeping_, FUTEX_WAIT_PRIVATE, 1, limit ? &left : nullptr, nullptr, 0);
  return true;
}

}  // namespace memfail::journal
