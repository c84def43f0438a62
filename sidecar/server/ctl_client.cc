// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/ctl_client.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "sidecar/server/stream_socket.h"

namespace memfail::server {

CtlClient::CtlClient(ClientOwner& owner, PollSet& poll_set, shm::UniqueFd fd)
    : owner_(owner), poll_set_(poll_set), fd_(std::move(fd)) {}

CtlClient::~CtlClient() {
  if (over_) return;
  poll_set_.remove(fd_.get(), *this);
  owner_.part_with(std::move(fd_));
}

bool CtlClient::watch() { return poll_set_.add(fd_.get(), EPOLLIN, *this); }

void CtlClient::on_ready(std::uint32_t events) {
  if (waiting_ && (events & (EPOLLHUP | EPOLLERR)) != 0) {
    close();
    return;
  }
  if (answer_.empty() && !waiting_) receive();
  if (!over_ && !answer_.empty()) send();
}

void CtlClient::say(const std::string& line, bool last) {
  if (over_) return;
  answer_ += line;
  waiting_ = !last;
  send();
}

void CtlClient::receive() {
  std::array<char, 16384> buffer{};
  const ssize_t got = receive_now(fd_.get(), buffer);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    close();
    return;
  }
  request_.append(buffer.data(), static_cast<std::size_t>(got));
  const std::size_t newline = request_.find('\n');
  if (newline != std::string::npos) {
    const std::string request = std::exchange(request_, {}).substr(0, newline);
    waiting_ = true;  // unless it is answered now
    answer_ += owner_.answer_operator(*this, request);
    if (!answer_.empty()) waiting_ = false;
    if (waiting_) poll_set_.change(fd_.get(), 0, *this);  // its going is told all the same
  } else if (request_.size() > kMaxRequest) {
    answer_ = "{\"error\":\"the request line is longer than 1 MiB\"}\n";
  }
}

void CtlClient::send() {
  while (sent_ < answer_.size()) {
    const ssize_t sent = send_now(fd_.get(), std::string_view(answer_).substr(sent_));
    if (sent < 0 && errno == EAGAIN) {
      poll_set_.change(fd_.get(), EPOLLOUT, *this);
      return;
    }
    if (sent < 0 && waiting_) {
      answer_.clear();  // it has gone, as its hang-up will say
      return;
    }
    if (sent < 0) break;
    sent_ += static_cast<std::size_t>(sent);
  }
  if (!waiting_) {
    close();
    return;
  }
  answer_.clear();
  sent_ = 0;
  poll_set_.change(fd_.get(), 0, *this);
}

void CtlClient::close() {
  if (std::exchange(over_, true)) return;
  if (waiting_) owner_.operator_left(*this);
  poll_set_.remove(fd_.get(), *this);
  owner_.part_with(std::move(fd_));
  owner_.client_over();
}

}  // namespace memfail::server
