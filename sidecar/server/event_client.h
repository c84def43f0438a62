// SPDX-License-Identifier: BSD-3-Clause
//
// The socket of one reader of the event stream.
#pragma once

#include "shm/unique_fd.h"
#include "sidecar/events/subscriber.h"
#include "sidecar/server/client.h"
#include "sidecar/server/poll_set.h"

namespace memfail::server {

class EventClient final : private PollTarget {
 public:
  EventClient(ClientOwner& owner, PollSet& poll_set, shm::UniqueFd fd,
              const journal::RecordStore& records);
  ~EventClient();
  EventClient(const EventClient&) = delete;
  EventClient& operator=(const EventClient&) = delete;

  bool watch();
  void send();  // what there is, as far as the socket takes it
  bool over() const { return over_; }

 private:
  void on_ready(std::uint32_t events) override;
  void receive();
  void listen_for(std::uint32_t events);
  void close();

  ClientOwner& owner_;
  PollSet& poll_set_;
  shm::UniqueFd fd_;
  events::Subscriber subscriber_;
  std::uint32_t listening_ = EPOLLIN;
  bool input_open_ = true;
  bool over_ = false;
};

}  // namespace memfail::server
