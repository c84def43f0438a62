// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop): poll
#include "sidecar/server/connection.h"

#include <poll.h>

#include <cerrno>
#include <utility>

#include "shm/control_socket.h"
#include "shm/reply_wait.h"
#include "shm/step.h"

namespace memfail::server {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;

// One more than a message may have shows a longer one as truncated. One buffer
// for all: a message is handled before the next is read, by this one thread.
alignas(16) std::array<std::byte, shm::kMaxMessage> g_packet;

}  // namespace

Connection::Connection(Parts parts, shm::UniqueFd fd, session::Identity identity,
                       std::uint64_t since_ms)
    : parts_(parts),
      fd_(std::move(fd)),
      identity_(std::move(identity)),
      since_ms_(since_ms),
      dialogue_(parts.table, parts.host, identity_),
      messages_(kMessages, since_ms) {}

Connection::~Connection() {
  if (over_) return;
  parts_.poll_set.remove(fd_.get(), *this);
  parts_.owner.part_with(std::move(fd_));
}

bool Connection::watch() { return parts_.poll_set.add(fd_.get(), EPOLLIN, *this); }

void Connection::on_ready(std::uint32_t events) {
  if (sending_ && (events & EPOLLOUT) != 0 && !send_answer()) return;
  if (sending_ || paused_) {
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) hang_up();
    return;
  }
  read_messages();
}

void Connection::read_messages() {
  for (int i = 0; i < kMessagesPerTurn && !over_ && !sending_ && !paused_; ++i) {
    if (!receive_one()) return;
  }
}

// For a message that is here: it is handled all the same, the next is not read.
void Connection::spend() {
  if (messages_.take(shm::monotonic_ns() / kNsPerMs)) return;
  paused_ = true;
  watch_for_what_is_wanted();
  parts_.owner.connection_paused();
}

std::uint64_t Connection::resume(std::uint64_t now_ms) {
  const std::uint64_t wait = messages_.wait_ms(now_ms);
  if (wait != 0) return wait;
  paused_ = false;
  watch_for_what_is_wanted();
  return 0;
}

void Connection::watch_for_what_is_wanted() {
  if (over_) return;
  const std::uint32_t reading = paused_ ? 0U : EPOLLIN;
  parts_.poll_set.change(fd_.get(), sending_ ? EPOLLOUT : reading, *this);
}

bool Connection::receive_one() {
  if (dialogue_.refuse_unread()) {
    send_answer();
    return false;
  }
  // Unread they make a reset of the hang-up, and the peer does not see why it is refused.
  const bool take_surplus = !parts_.host.discards_clogged();
  auto received =
      shm::receive_message(fd_.get(), g_packet, dialogue_.expected_descriptors(), take_surplus);
  if (!received) {
    if (received.error() != -EAGAIN) hang_up();
    return false;
  }
  if (received->size == 0 && !received->truncated) {
    hang_up();
    return false;
  }
  parts_.owner.handling(*this);
  spend();
  dialogue_.take(std::span(g_packet).first(received->size), *received);
  return send_answer();
}

// More than one where new rules wait behind an answer.
bool Connection::send_answer() {
  for (auto answer = dialogue_.answer(); !answer.empty(); answer = dialogue_.answer()) {
    const int fd = dialogue_.answer_fd();
    const int result = shm::send_message(fd_.get(), answer, std::span(&fd, fd >= 0 ? 1U : 0U));
    if (result == -EAGAIN && dialogue_.state() != session::DialogueState::kEnded) {
      if (!std::exchange(sending_, true)) watch_for_what_is_wanted();
      return false;
    }
    if (result == 0 && fd >= 0) MEMFAIL_STEP(welcome_sent);
    dialogue_.answer_sent();
    if (result != 0 && result != -EAGAIN) {
      hang_up();
      return false;
    }
  }
  if (std::exchange(sending_, false)) watch_for_what_is_wanted();
  if (dialogue_.state() == session::DialogueState::kEnded) {
    close();
    return false;
  }
  return true;
}

void Connection::renew_rules() {
  if (over_) return;
  dialogue_.renew_rules();
  send_answer();
}

std::expected<void, std::string> Connection::give(const session::Order& order) {
  if (over_) return std::unexpected("the VMM has hung up");
  const auto given = dialogue_.give(order);
  if (!given) return given;
  send_answer();  // what does not fit is kept, as any answer
  if (over_) return std::unexpected("the VMM has hung up");
  return {};
}

bool Connection::peer_is_gone() const {
  pollfd one{.fd = fd_.get(), .events = 0, .revents = 0};
  return over_ || (::poll(&one, 1, 0) == 1 && (one.revents & (POLLHUP | POLLERR)) != 0);
}

void Connection::hang_up() {
  if (over_) return;
  dialogue_.hang_up();
  close();
}

void Connection::fail(const session::Refusal& refusal) {
  if (over_) return;
  dialogue_.fail(refusal);
  send_answer();
}

void Connection::close() {
  if (std::exchange(over_, true)) return;
  parts_.poll_set.remove(fd_.get(), *this);
  parts_.owner.part_with(std::move(fd_));
  parts_.owner.connection_over(*this);
}

}  // namespace memfail::server
