// SPDX-License-Identifier: BSD-3-Clause
//
// Wakes the journal thread. Ringing costs the loop thread a fence and a load
// while the other is awake, one futex call while it sleeps.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

#include "shm/fence.h"

namespace memfail::journal {

class Doorbell {
 public:
  // After the work was published. Any thread; never blocks.
  void ring();

  // Returns when `work()` says true or, with a limit, at its end. One thread.
  template <typename Work>
  void wait(Work work, std::optional<std::chrono::steady_clock::time_point> limit) {
    while (!work()) {
      sleeping_.store(1, std::memory_order_relaxed);
      // Store, fence, load on both sides: either the ringer sees that we sleep,
      // or we see its work.
      shm::full_fence();
      const bool go_on = !work() && sleep(limit);
      sleeping_.store(0, std::memory_order_relaxed);
      if (!go_on) return;
    }
  }

 private:
  bool sleep(std::optional<std::chrono::steady_clock::time_point> limit);  // false: at the limit

  std::atomic<std::uint32_t> sleeping_{0};
};

}  // namespace memfail::journal
