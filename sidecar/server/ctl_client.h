// SPDX-License-Identifier: BSD-3-Clause
//
// The socket of one operator: one JSON line in, one JSON line out, closed.
#pragma once

#include <string>

#include "shm/unique_fd.h"
#include "sidecar/server/client.h"
#include "sidecar/server/poll_set.h"

namespace memfail::server {

class CtlClient final : private PollTarget {
 public:
  static constexpr std::size_t kMaxRequest = 4096;

  CtlClient(ClientOwner& owner, PollSet& poll_set, shm::UniqueFd fd);
  ~CtlClient();
  CtlClient(const CtlClient&) = delete;
  CtlClient& operator=(const CtlClient&) = delete;

  bool watch();
  bool over() const { return over_; }

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
  std::size_t sent_ = 0;
  bool over_ = false;
};

}  // namespace memfail::server
