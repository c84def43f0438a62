// SPDX-License-Identifier: BSD-3-Clause
//
// Closes descriptors that failed their check, on a thread that may hang: close()
// of a FUSE file waits for its server, which is the peer who sent it. Each hostile
// descriptor can cost this thread for ever; the queue behind it is bounded, and
// when it is full hellos are refused, so that no peer can fill our table.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

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
  bool clogged() const { return waiting_->load(std::memory_order_relaxed) >= kMaxStuck; }

 private:
  struct Queue {
    std::mutex mutex;
    std::condition_variable filled;
    std::deque<int> fds;
    std::shared_ptr<std::atomic<std::size_t>> waiting;
    bool ended = false;
  };
  static void run(std::shared_ptr<Queue> queue);

  std::shared_ptr<std::atomic<std::size_t>> waiting_;
  std::shared_ptr<Queue> queue_;
};

}  // namespace memfail::server
