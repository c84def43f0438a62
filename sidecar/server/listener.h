// SPDX-License-Identifier: BSD-3-Clause
//
// Accepts on one listening socket. Out of descriptors, a spare one is given up to
// accept and close: a connection that stays in the queue would keep the loop awake.
#pragma once

#include <functional>
#include <string_view>

#include "shm/unique_fd.h"
#include "sidecar/server/poll_set.h"

namespace memfail::server {

class Listener final : private PollTarget {
 public:
  struct Calls {
    std::function<void(shm::UniqueFd)> accepted;
    std::function<void(std::string_view)> log;
  };

  // `fd` stays the caller's, and open longer than this.
  Listener(PollSet& poll_set, int fd, Calls calls);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  bool watch();  // false: errno says why
  void accept_all();  // whoever waits now

 private:
  void on_ready(std::uint32_t events) override;
  void accept(int most);
  void accept_and_close();

  PollSet& poll_set_;
  int fd_;
  Calls calls_;
  shm::UniqueFd spare_;
};

}  // namespace memfail::server
