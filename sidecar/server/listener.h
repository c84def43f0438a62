// SPDX-License-Identifier: BSD-3-Clause
//
// Accepts on one listening socket. Out of descriptors, a spare one is given up to
// accept and close: a connection that stays in the queue would keep the loop awake. Where
// even that is not to be had, or nobody is to be accepted, it is not looked at for a while.
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
    std::function<void(shm::UniqueFd)> refused;  // to be closed
    std::function<bool()> has_room;
    std::function<void()> paused;  // resume() is due
    std::function<void(std::string_view)> log;
  };

  // `fd` stays the caller's, and open longer than this.
  Listener(PollSet& poll_set, int fd, Calls calls);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  bool watch();  // false: errno says why
  void accept_all();  // whoever waits now
  bool resume();      // if it can; false: later

 private:
  void on_ready(std::uint32_t events) override;
  void accept(int most);
  void accept_and_close();
  void pause();

  PollSet& poll_set_;
  int fd_;
  Calls calls_;
  shm::UniqueFd spare_;
  bool paused_ = false;
};

}  // namespace memfail::server
