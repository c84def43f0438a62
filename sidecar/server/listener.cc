// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop): accept4 fcntl=dup close
#include "sidecar/server/listener.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace memfail::server {
namespace {

constexpr int kAcceptsPerTurn = 16;
constexpr int kMostWaiting = 4096;  // longer is no backlog by default (net.core.somaxconn)

shm::UniqueFd accept_one(int fd) {
  return shm::UniqueFd(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

// Not of the socket: a copy would listen on when the socket is closed.
shm::UniqueFd another_of(const PollSet& poll_set) {
  return shm::UniqueFd(::fcntl(poll_set.fd(), F_DUPFD_CLOEXEC, 0));
}

}  // namespace

Listener::Listener(PollSet& poll_set, int fd, Calls calls)
    : poll_set_(poll_set), fd_(fd), calls_(std::move(calls)), spare_(another_of(poll_set)) {}

Listener::~Listener() { poll_set_.remove(fd_, *this); }

bool Listener::watch() { return poll_set_.add(fd_, EPOLLIN, *this); }

void Listener::on_ready(std::uint32_t) { accept(kAcceptsPerTurn); }
void Listener::accept_all() { accept(kMostWaiting); }

void Listener::accept(int most) {
  for (int i = 0; i < most; ++i) {
    if (!calls_.has_room()) return pause();
    shm::UniqueFd fd = accept_one(fd_);
    if (fd.valid()) {
      calls_.accepted(std::move(fd));
      continue;
    }
    if (errno == EMFILE || errno == ENFILE) return accept_and_close();
    if (errno != ECONNABORTED && errno != EINTR) return;
  }
}

void Listener::pause() {
  if (std::exchange(paused_, true)) return;
  poll_set_.change(fd_, 0, *this);
  calls_.paused();
}

bool Listener::resume() {
  if (!paused_) return true;
  if (!spare_.valid()) spare_ = another_of(poll_set_);
  if (!spare_.valid() || !calls_.has_room()) return false;
  paused_ = !poll_set_.change(fd_, EPOLLIN, *this);
  return !paused_;
}

void Listener::accept_and_close() {
  spare_.reset();
  calls_.refused(accept_one(fd_));
  spare_ = another_of(poll_set_);
  if (!spare_.valid()) pause();  // what is refused is not closed yet
  calls_.log("out of file descriptors: a connection was closed; raise LimitNOFILE or `ulimit -n`");
}

}  // namespace memfail::server
