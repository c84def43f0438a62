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
  EventClient(ClientOwner& owner, PollSet& poll_set, shm::UniqueFd fd, journal::EventSource& source,
              std::uint64_t since_ms);
  ~EventClient();
  EventClient(const EventClient&) = delete;
  EventClient& operator=(const EventClient&) = delete;

  bool watch();
  void send();  // its share of what there is, as far as the socket takes it
  bool over() const { return over_; }

  // Whether it may still say what it wants; its time ends with asks_nothing().
  bool asking() const { return !over_ && subscriber_.asking(); }
  void asks_nothing();
  std::uint64_t since_ms() const { return since_ms_; }

  // What it waited for has come from the journal.
  void history_arrived();

  // It was told all it will be told and does not fetch it: its place can go to another.
  bool idle_to_the_end() const { return over_ || subscriber_.finished(); }

 private:
  void on_ready(std::uint32_t events) override;
  void receive();
  void listen_for(std::uint32_t events);
  void close();

  ClientOwner& owner_;
  PollSet& poll_set_;
  shm::UniqueFd fd_;
  events::Subscriber subscriber_;
  std::uint64_t since_ms_;
  std::uint32_t listening_ = EPOLLIN;
  bool input_open_ = true;
  bool over_ = false;
};

}  // namespace memfail::server
