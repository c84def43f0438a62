// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/ctl_client.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

namespace memfail::server {

CtlClient::CtlClient(ClientOwner& owner, PollSet& poll_set, shm::UniqueFd fd)
    : owner_(owner), poll_set_(poll_set), fd_(std::move(fd)) {}

CtlClient::~CtlClient() {
  if (!over_) poll_set_.remove(fd_.get(), *this);
}

bool CtlClient::watch() { return poll_set_.add(fd_.get(), EPOLLIN, *this); }

void CtlClient::on_ready(std::uint32_t) {
  if (answer_.empty()) receive();
  if (!over_ && !answer_.empty()) send();
}

void CtlClient::receive() {
  std::array<char, 1024> buffer{};
  const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    close();
    return;
  }
  request_.append(buffer.data(), static_cast<std::size_t>(got));
  const std::size_t newline = request_.find('\n');
  if (newline != std::string::npos) {
    answer_ = owner_.answer_operator(std::string_view(request_).substr(0, newline));
  } else if (request_.size() > kMaxRequest) {
    answer_ = "{\"error\":\"the request line is longer than 4096 bytes\"}\n";
  }
}

void CtlClient::send() {
  while (sent_ < answer_.size()) {
    const ssize_t sent = ::send(fd_.get(), answer_.data() + sent_, answer_.size() - sent_,
                                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
      poll_set_.change(fd_.get(), EPOLLOUT, *this);
      return;
    }
    if (sent < 0) break;
    sent_ += static_cast<std::size_t>(sent);
  }
  close();
}

void CtlClient::close() {
  if (std::exchange(over_, true)) return;
  poll_set_.remove(fd_.get(), *this);
  fd_.reset();
  owner_.client_over();
}

}  // namespace memfail::server
