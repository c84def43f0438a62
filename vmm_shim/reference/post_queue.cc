// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/post_queue.h"

#include <utility>

#include "vmm_shim/reference/kick.h"

namespace memfail::reference {

void PostQueue::open() {
  const std::lock_guard lock(mutex_);
  thread_ = pthread_self();
  open_ = true;
}

bool PostQueue::post(std::function<void()> function) {
  const std::lock_guard lock(mutex_);
  if (!open_) return false;
  functions_.push_back(std::move(function));
  kick(thread_);  // under the lock: the thread is alive while the queue is open
  return true;
}

std::vector<std::function<void()>> PostQueue::take(bool last) {
  const std::lock_guard lock(mutex_);
  if (last) open_ = false;
  return std::exchange(functions_, {});
}

void PostQueue::run_all() {
  for (const auto& function : take(false)) function();
}

void PostQueue::close() {
  for (const auto& function : take(true)) function();
}

}  // namespace memfail::reference
