// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(closer): close futex=own futex=condition-variable
// syscall(loop): futex=own
#include "sidecar/server/closer.h"

#include <csignal>
#include <thread>
#include <utility>

namespace memfail::server {
namespace {

// Signals belong to the loop's thread; a thread inherits the mask it is made under.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace

Closer::Closer()
    : waiting_(std::make_shared<std::atomic<std::size_t>>(0)), queue_(std::make_shared<Queue>()) {
  queue_->waiting = waiting_;
}

void Closer::start(std::function<void()> first) {
  const SignalsBlocked blocked;
  std::thread([queue = queue_, run_first = std::move(first)] {
    if (run_first) run_first();
    run(queue);
  }).detach();
}

Closer::~Closer() {
  const shm::Locked lock(queue_->mutex);
  queue_->ended = true;
  queue_->filled.notify_one();
}

void Closer::close(shm::UniqueFd fd) {
  if (!fd.valid()) return;
  waiting_->fetch_add(1, std::memory_order_relaxed);
  const shm::Locked lock(queue_->mutex);
  queue_->fds.push_back(fd.release());
  queue_->filled.notify_one();
}

void Closer::run(std::shared_ptr<Queue> queue) {
  for (int fd = next_of(*queue); fd >= 0; fd = next_of(*queue)) {
    ::close(fd);
    queue->waiting->fetch_sub(1, std::memory_order_relaxed);
  }
}

int Closer::next_of(Queue& queue) {
  const shm::Locked lock(queue.mutex);
  while (!queue.ended && queue.fds.empty()) queue.filled.wait(queue.mutex);
  if (queue.fds.empty()) return -1;
  const int fd = queue.fds.front();
  queue.fds.pop_front();
  return fd;
}

}  // namespace memfail::server
