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
#include "sidecar/server/token_bucket.h"
#include "sidecar/session/dialogue.h"

namespace memfail::server {

class Connection;

class ConnectionOwner {
 public:
  // Its next message is about to be handled: sessions attached now are its own.
  virtual void handling(Connection& connection) = 0;
  // Will be destroyed at the end of this turn.
  virtual void connection_over(Connection& connection) = 0;
  // Has had its share of messages: resume() is due when resume_in() says.
  virtual void connection_paused() = 0;
  // Its socket, which is at its end.
  virtual void part_with(shm::UniqueFd socket) = 0;

 protected:
  ~ConnectionOwner() = default;
};

class Connection final : private PollTarget {
 public:
  // Messages handled in one turn: one session's share.
  static constexpr int kMessagesPerTurn = 16;
  // And over time. A guest that moves its memory about makes some hundred a second; the
  // largest map of regions takes about 200. Beyond it nothing more is read for a while: a
  // VMM that talks too much waits for itself.
  static constexpr Rate kMessages{.at_once = 4096, .per_second = 2048};

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
  bool paused() const { return paused_ && !over_; }
  // Reads on, if it may. Milliseconds until it is to be called again; 0: it reads.
  std::uint64_t resume(std::uint64_t now_ms);

  // Puts it to the VMM. Or why not, in one line.
  // The session's rules are others now.
  void renew_rules();
  std::expected<void, std::string> give(const session::Order& order);

  // The peer has hung up, whether or not that was noticed yet.
  bool peer_is_gone() const;
  // What the VMM has said so far, within a turn's bounds. May end the connection.
  void read_messages();
  void hang_up();
  void fail(const session::Refusal& refusal);
  void session_gone() { dialogue_.session_gone(); }

 private:
  void on_ready(std::uint32_t events) override;
  bool receive_one();
  void spend();
  void watch_for_what_is_wanted();
  // An answer that does not fit is kept, and nothing more is read until it went:
  // a VMM that does not listen holds up itself.
  bool send_answer();
  void close();

  Parts parts_;
  shm::UniqueFd fd_;
  session::Identity identity_;
  std::uint64_t since_ms_;
  session::Dialogue dialogue_;
  TokenBucket messages_;
  bool sending_ = false;
  bool paused_ = false;
  bool over_ = false;
};

}  // namespace memfail::server
