// SPDX-License-Identifier: BSD-3-Clause
//
// The store-load fence of the doorbell protocol. Each side stores what it has
// done, fences, then loads whether the other side sleeps; release/acquire alone
// lets the load pass the store, and a wake-up is lost.
#pragma once

#include <atomic>

namespace memfail::shm {

inline void full_fence() {
#if defined(__SANITIZE_THREAD__)
  // TSan has no fences; a locked read-modify-write orders the same on x86.
  std::atomic<int> here{0};
  here.fetch_add(1, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace memfail::shm
