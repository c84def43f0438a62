// SPDX-License-Identifier: BSD-3-Clause
//
// Closes descriptors that failed their check, on a thread that may hang: close()
// of a FUSE file waits for its server, which is the peer who sent it. Each hostile
// descriptor can cost this thread for ever; the queue behind it is bounded, and
// when it is full hellos are refused, so that no peer can fill our table.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>

#include "shm/mutex.h"
#include "shm/unique_fd.h"

namespace memfail::server {

class Closer {
 public:
  static constexpr std::size_t kMaxStuck = 16;

  Closer();
  // Until then, what is to be closed waits. `first` runs in the thread before all else.
  void start(std::function<void()> first);
  // Leaves a stuck thread behind: the process is about to end.
  ~Closer();
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;

  void close(shm::UniqueFd fd);
  bool clogged() const { return waiting() >= kMaxStuck; }
  std::size_t waiting() const { return waiting_->load(std::memory_order_relaxed); }

 private:
  struct Queue {
    shm::Mutex mutex;
    shm::Condition filled;
    std::deque<int> fds MEMFAIL_GUARDED_BY(mutex);
    bool ended MEMFAIL_GUARDED_BY(mutex) = false;
    std::shared_ptr<std::atomic<std::size_t>> waiting;
  };
  static void run(std::shared_ptr<Queue> queue);
  static int next_of(Queue& queue);  // -1: it has ended

  std::shared_ptr<std::atomic<std::size_t>> waiting_;
  std::shared_ptr<Queue> queue_;
};

}  // namespace memfail::server
