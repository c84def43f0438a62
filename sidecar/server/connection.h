// SPDX-License-Identifier: BSD-3-Clause
//
// A control socket with one VMM at its other end.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <string>

#include "shm/unique_fd.h"
#include "sidecar/server/poll_set.h"
#include "sidecar/session/dialogue.h"

namespace memfail::server {

class Connection;

class ConnectionOwner {
 public:
  // Its next message is about to be handled: sessions attached now are its own.
  virtual void handling(Connection& connection) = 0;
  // Will be destroyed at the end of this turn.
  virtual void connection_over(Connection& connection) = 0;

 protected:
  ~ConnectionOwner() = default;
};

class Connection final : private PollTarget {
 public:
  // Messages handled in one turn: one session's share.
  static constexpr int kMessagesPerTurn = 16;

  struct Parts {
    ConnectionOwner& owner;
    PollSet& poll_set;
    session::SessionTable& table;
    session::Host& host;
  };

  Connection(Parts parts, shm::UniqueFd fd, session::Identity identity, std::uint64_t since_ms);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool watch();  // false: errno says why

  const session::Identity& identity() const { return identity_; }
  bool half_open() const { return !over_ && dialogue_.session() == nullptr; }
  bool over() const { return over_; }
  std::uint64_t since_ms() const { return since_ms_; }

  // Puts it to the VMM. Or why not, in one line.
  std::expected<void, std::string> give(const session::Order& order);

  // The peer has hung up, whether or not that was noticed yet.
  bool peer_is_gone() const;
  void hang_up();
  void fail(const session::Refusal& refusal);
  void session_gone() { dialogue_.session_gone(); }

 private:
  void on_ready(std::uint32_t events) override;
  bool receive_one();
  // An answer that does not fit is kept, and nothing more is read until it went:
  // a VMM that does not listen holds up itself.
  bool send_answer();
  void close();

  Parts parts_;
  shm::UniqueFd fd_;
  session::Identity identity_;
  std::uint64_t since_ms_;
  session::Dialogue dialogue_;
  bool sending_ = false;
  bool over_ = false;
};

}  // namespace memfail::server
