// SPDX-License-Identifier: BSD-3-Clause
//
// Closes descriptors that failed their check, on a thread that may hang: close()
// of a FUSE file waits for its server, which is the peer who sent it. So does that of a
// socket in which such descriptors lie unread, and each socket of a peer is closed here.
// Each hostile descriptor can cost this thread for ever; the queue behind it is bounded:
// when it is full hellos are refused, and in the end nobody is accepted, so that no peer
// can fill our table.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "shm/mutex.h"
#include "shm/unique_fd.h"
#include "sidecar/journal/doorbell.h"

namespace memfail::server {

class Closer {
 public:
  static constexpr std::size_t kMaxStuck = 16;   // descriptors that peers sent
  static constexpr std::size_t kMaxHeld = 1024;  // those, and peers' sockets

  Closer();
  // Until then, what is to be closed waits. `first` runs in the thread before all else.
  void start(std::function<void()> first);
  // Leaves a stuck thread behind: the process is about to end.
  ~Closer();
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;

  void close(shm::UniqueFd fd) { put(std::move(fd), kSent); }
  // A peer's: the peer sees its end at once.
  void close_socket(shm::UniqueFd fd);
  bool clogged() const { return waiting(kSent) >= kMaxStuck; }
  bool full() const { return waiting() >= kMaxHeld; }
  std::size_t waiting() const { return waiting(kSent) + waiting(kSocket); }
  // Until all is closed, or so long; how much is not.
  std::size_t finish(std::chrono::milliseconds limit);

 private:
  enum Kind : std::uint8_t { kSent, kSocket };
  struct Item {
    int fd = -1;
    Kind kind = kSent;
  };
  struct Queue {
    shm::Mutex mutex;
    shm::Condition filled;
    std::deque<Item> items MEMFAIL_GUARDED_BY(mutex);
    bool ended MEMFAIL_GUARDED_BY(mutex) = false;
    std::array<std::atomic<std::size_t>, 2> waiting{};  // by Kind
    journal::Doorbell closed;
  };
  static void run(std::shared_ptr<Queue> queue);
  static Item next_of(Queue& queue);  // fd -1: it has ended
  void put(shm::UniqueFd fd, Kind kind);
  std::size_t waiting(Kind kind) const {
    return queue_->waiting[kind].load(std::memory_order_relaxed);
  }

  std::shared_ptr<Queue> queue_;
};

}  // namespace memfail::server
