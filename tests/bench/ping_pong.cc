// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/ping_pong.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "shm/reply_wait.h"
#include "tests/bench/failure.h"

namespace memfail::bench {
namespace {

bool give(int fd) {
  const std::uint64_t one = 1;
  return ::write(fd, &one, sizeof one) == sizeof one;
}

bool take(int fd) {
  std::uint64_t count = 0;
  return ::read(fd, &count, sizeof count) == sizeof count;
}

}  // namespace

PingPong::PingPong()
    : there_(must(::eventfd(0, EFD_CLOEXEC), "eventfd")),
      back_(must(::eventfd(0, EFD_CLOEXEC), "eventfd")),
      echo_(fork_child([this] {
        while (take(there_.get()) && give(back_.get())) {
        }
      })) {}

std::uint64_t PingPong::round() {
  settle();
  const std::uint64_t begun = shm::monotonic_ns();
  if (!give(there_.get()) || !take(back_.get())) fail("the eventfd ping-pong broke off");
  return shm::monotonic_ns() - begun;
}

}  // namespace memfail::bench
