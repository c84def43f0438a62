// SPDX-License-Identifier: BSD-3-Clause
//
// The one epoll set in which every descriptor of this process lives, libuv's own
// among them: what a VM waits for is one system call away from its handler.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>

#include "shm/unique_fd.h"

namespace memfail::server {

class PollTarget {
 public:
  virtual void on_ready(std::uint32_t events) = 0;

 protected:
  ~PollTarget() = default;
};

class PollSet {
 public:
  PollSet();  // valid() says whether the kernel gave one

  bool valid() const { return epoll_.valid(); }
  int fd() const { return epoll_.get(); }

  // False: errno says why. `target` must be removed before it is destroyed.
  bool add(int fd, std::uint32_t events, PollTarget& target);
  bool change(int fd, std::uint32_t events, PollTarget& target);

  // Also drops what the batch under way still holds for `target`.
  void remove(int fd, const PollTarget& target);

  // Waits until something is ready (at most so long; below 0: for ever; 0: not at
  // all) and calls its targets.
  void dispatch(int timeout_ms);

 private:
  shm::UniqueFd epoll_;
  std::array<epoll_event, 64> batch_{};
  int batch_size_ = 0;
};

}  // namespace memfail::server
