// SPDX-License-Identifier: BSD-3-Clause
//
// The socket of one operator: one JSON line in, one JSON line out, closed. What a VM
// has to do first is told later, in more lines.
#pragma once

#include <string>

#include "shm/unique_fd.h"
#include "sidecar/server/client.h"
#include "sidecar/server/poll_set.h"

namespace memfail::server {

class CtlClient final : private PollTarget {
 public:
  static constexpr std::size_t kMaxRequest = std::size_t{1} << 20;  // a policy, in hexadecimal

  CtlClient(ClientOwner& owner, PollSet& poll_set, shm::UniqueFd fd);
  ~CtlClient();
  CtlClient(const CtlClient&) = delete;
  CtlClient& operator=(const CtlClient&) = delete;

  bool watch();
  bool over() const { return over_; }

  // A line with its '\n' for one that was not answered at once. After the `last` one it
  // is closed.
  void say(const std::string& line, bool last);

 private:
  void on_ready(std::uint32_t events) override;
  void receive();
  void send();
  void close();

  ClientOwner& owner_;
  PollSet& poll_set_;
  shm::UniqueFd fd_;
  std::string request_;
  std::string answer_;
  bool waiting_ = false;  // more lines are to come
  std::size_t sent_ = 0;
  bool over_ = false;
};

}  // namespace memfail::server
