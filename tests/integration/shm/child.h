// SPDX-License-Identifier: BSD-3-Clause
//
// Real processes around a session: forked, bounded in time, never left behind.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "shm/control_socket.h"
#include "shm/unique_fd.h"

namespace memfail::shm::testing {

inline constexpr int kPatience = 60;  // seconds; reaching it is a failure

class Child {
 public:
  // Runs `body` in a forked process, whose exit status is what it returns.
  template <typename Body>
  explicit Child(const Body& body) : pid_(::fork()) {
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::_exit(body());
    }
    EXPECT_GT(pid_, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    kill();
    (void)wait();
  }

  void kill(int signal = SIGKILL) const { ::kill(pid_, signal); }
  [[nodiscard]] pid_t pid() const { return pid_; }

  // The wait status, or -1 if it did not end in time (it is killed then).
  [[nodiscard]] int wait(int seconds = kPatience) {
    const UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    pollfd ended{handle.get(), POLLIN, 0};
    int ready = 0;
    do {
      ready = ::poll(&ended, 1, seconds * 1000);
    } while (ready < 0 && errno == EINTR);
    if (ready != 1) kill();
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return ready == 1 ? status : -1;
  }
  [[nodiscard]] bool exited_with(int code) {
    const int status = wait();
    return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == code;
  }
  [[nodiscard]] bool died_of(int signal) {
    const int status = wait();
    return status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == signal;
  }

 private:
  pid_t pid_;
};

struct SocketPair {
  SocketPair() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()), 0);
    ours.reset(fds[0]);
    theirs.reset(fds[1]);
  }
  UniqueFd ours;
  UniqueFd theirs;
};

inline bool readable(int fd, int seconds = kPatience) {
  pollfd ready{fd, POLLIN, 0};
  return ::poll(&ready, 1, seconds * 1000) == 1;
}

inline bool send_fd(int socket, int fd) {
  const std::byte text[] = {std::byte{'x'}};
  const int fds[] = {fd};
  return fd >= 0 && send_message(socket, text, fds) == 0;
}

inline UniqueFd receive_fd(int socket) {
  std::array<std::byte, 16> buffer{};
  if (!readable(socket)) return {};
  auto received = receive_message(socket, buffer, 1);
  if (!received || received->fd_count != 1) return {};
  return std::move(received->fds[0]);
}

// What another process makes and sends us; it is gone when this returns.
template <typename Make>
UniqueFd fd_from_peer(const Make& make) {
  SocketPair sockets;
  Child peer([&] { return send_fd(sockets.theirs.get(), make()) ? 0 : 1; });
  sockets.theirs.reset();
  UniqueFd fd = receive_fd(sockets.ours.get());
  EXPECT_TRUE(peer.exited_with(0));
  EXPECT_TRUE(fd.valid());
  return fd;
}

}  // namespace memfail::shm::testing
