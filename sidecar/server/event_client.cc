// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/event_client.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "sidecar/server/stream_socket.h"

namespace memfail::server {

EventClient::EventClient(ClientOwner& owner, PollSet& poll_set, shm::UniqueFd fd,
                         journal::EventSource& source, std::uint64_t since_ms)
    : owner_(owner),
      poll_set_(poll_set),
      fd_(std::move(fd)),
      subscriber_(source),
      since_ms_(since_ms) {}

EventClient::~EventClient() {
  if (over_) return;
  poll_set_.remove(fd_.get(), *this);
  owner_.part_with(std::move(fd_));
}

bool EventClient::watch() { return poll_set_.add(fd_.get(), listening_, *this); }

void EventClient::on_ready(std::uint32_t events) {
  if ((events & EPOLLERR) != 0 || (events & (EPOLLHUP | EPOLLIN)) == EPOLLHUP) {
    close();
    return;
  }
  if (input_open_ && (events & EPOLLIN) != 0) receive();
  if (!over_) send();
}

void EventClient::receive() {
  std::array<char, 2048> buffer{};
  const ssize_t got = receive_now(fd_.get(), buffer);
  if (got > 0) {
    subscriber_.take_input({buffer.data(), static_cast<std::size_t>(got)});
  } else if (got == 0) {
    input_open_ = false;  // half closed: it may still read
    subscriber_.input_ended();
  } else if (errno != EAGAIN && errno != EINTR) {
    close();
  }
}

// Once a turn: a reader that takes everything at once does not get everything at once,
// because VMs wait for this thread. What is left makes the next turn come at once.
void EventClient::send() {
  const std::string_view bytes = subscriber_.output();
  if (!bytes.empty()) {
    const ssize_t sent = send_now(fd_.get(), bytes);
    if (sent < 0 && errno != EAGAIN) {
      close();
      return;
    }
    if (sent > 0) subscriber_.consumed(static_cast<std::size_t>(sent));
  }
  if (subscriber_.finished() && !subscriber_.pending()) {
    close();
  } else {
    listen_for((input_open_ ? EPOLLIN : 0U) | (subscriber_.pending() ? EPOLLOUT : 0U));
  }
}

void EventClient::asks_nothing() {
  subscriber_.asks_nothing();
  send();
}

void EventClient::history_arrived() {
  subscriber_.history_arrived();
  send();
}

void EventClient::listen_for(std::uint32_t events) {
  if (events != listening_) poll_set_.change(fd_.get(), events, *this);
  listening_ = events;
}

void EventClient::close() {
  if (std::exchange(over_, true)) return;
  poll_set_.remove(fd_.get(), *this);
  owner_.part_with(std::move(fd_));
  owner_.client_over();
}

}  // namespace memfail::server
