// SPDX-License-Identifier: BSD-3-Clause
//
// One connection's conversation. A table says what each message may meet in each
// state; docs/protocol.md shows the same table. Adding a message is a row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include "shm/control_socket.h"
#include "sidecar/session/session_table.h"
#include "sidecar/session/wire_messages.h"

namespace memfail::session {

enum class DialogueState : std::uint8_t { kAwaitHello, kAwaitCommit, kReady, kEnded };
inline constexpr std::size_t kDialogueStates = 4;

std::string_view name_of(DialogueState state);

class Dialogue {
 public:
  Dialogue(SessionTable& table, Host& host, Identity identity);

  DialogueState state() const { return state_; }
  Session* session() const { return session_; }

  // How many descriptors the next message may bring.
  std::size_t expected_descriptors() const;

  // Before a packet is read. True: it must stay unread, and the connection be closed, with
  // answer(): it may bring descriptors, and those that cannot be closed are too many already.
  bool refuse_unread();

  // One packet. Afterwards answer() is what to send, empty where nothing is; in
  // state kEnded the connection closes after it. Never throws at what a peer sent.
  void take(std::span<const std::byte> packet, shm::Received& received);

  // Sends the VMM the rules of its session, if it takes them while it is attached: answer()
  // has them once what is under way is sent.
  void renew_rules();

  std::span<const std::byte> answer() const;
  int answer_fd() const { return reply_fd_.get(); }  // goes with the answer; or -1
  void answer_sent();

  // Sends the VMM an order: answer() has it afterwards. Or why not, in one line.
  std::expected<void, std::string> give(const Order& order);

  // The peer is gone, or the session ended elsewhere (no detaching then).
  void hang_up();
  void session_gone() {
    session_ = nullptr;
    state_ = DialogueState::kEnded;
  }

  // Ends the session from outside, e.g. for what its areas held.
  void fail(const Refusal& refusal);

 private:
  using Handler = std::optional<Refusal> (Dialogue::*)(const wire::Message&, shm::Received&);
  struct Row;
  static const Row kRows[];

  std::optional<Refusal> dispatch(const wire::Message& message, shm::Received& received);
  std::optional<Refusal> hello(const wire::Message& message, shm::Received& received);
  std::optional<Refusal> regions(const wire::Message& message, shm::Received& received);
  std::optional<Refusal> commit(const wire::Message& message, shm::Received& received);
  std::optional<Refusal> poison_pages(const wire::Message& message, shm::Received& received);
  std::optional<Refusal> vcpu_state(const wire::Message& message, shm::Received& received);
  std::optional<Refusal> guest_reset(const wire::Message& message, shm::Received& received);
  std::optional<Refusal> operator_answer(const wire::Message& message, shm::Received& received);
  std::optional<Refusal> goodbye(const wire::Message& message, shm::Received& received);
  void acknowledge(const wire::Message& message);
  void say_rules();
  void discard(shm::Received& received);

  SessionTable& table_;
  Host& host_;
  Identity identity_;
  DialogueState state_ = DialogueState::kAwaitHello;
  Session* session_ = nullptr;
  std::uint64_t sent_ = 0;  // messages
  bool rules_due_ = false;
  std::uint64_t ordered_ = 0;  // the message that is to be answered; 0: none
  flatbuffers::FlatBufferBuilder builder_{512};
  shm::UniqueFd reply_fd_;
};

}  // namespace memfail::session
