// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/listener.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace memfail::server {
namespace {

constexpr int kAcceptsPerTurn = 16;

shm::UniqueFd accept_one(int fd) {
  return shm::UniqueFd(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

}  // namespace

Listener::Listener(PollSet& poll_set, int fd, Calls calls)
    : poll_set_(poll_set),
      fd_(fd),
      calls_(std::move(calls)),
      spare_(::fcntl(fd, F_DUPFD_CLOEXEC, 0)) {}

Listener::~Listener() { poll_set_.remove(fd_, *this); }

bool Listener::watch() { return poll_set_.add(fd_, EPOLLIN, *this); }

void Listener::on_ready(std::uint32_t) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    shm::UniqueFd fd = accept_one(fd_);
    if (fd.valid()) {
      calls_.accepted(std::move(fd));
      continue;
    }
    if (errno == EMFILE || errno == ENFILE) accept_and_close();
    if (errno != ECONNABORTED && errno != EINTR) return;
  }
}

void Listener::accept_and_close() {
  spare_.reset();
  accept_one(fd_).reset();
  spare_.reset(::fcntl(fd_, F_DUPFD_CLOEXEC, 0));
  calls_.log("out of file descriptors: a connection was closed; raise LimitNOFILE or `ulimit -n`");
}

}  // namespace memfail::server
