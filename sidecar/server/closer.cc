// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(closer): close futex=own futex=condition-variable
// syscall(loop): futex=own shutdown=both
#include "sidecar/server/closer.h"

#include <sys/socket.h>

#include <csignal>
#include <thread>
#include <utility>

#include "sidecar/server/scheduling.h"

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

Closer::Closer() : queue_(std::make_shared<Queue>()) {}

void Closer::start(std::function<void()> first) {
  const SignalsBlocked blocked;
  std::thread([queue = queue_, run_first = std::move(first)] {
    give_way();  // while the calls for it are allowed
    if (run_first) run_first();
    run(queue);
  }).detach();
}

Closer::~Closer() {
  const shm::Locked lock(queue_->mutex);
  queue_->ended = true;
  queue_->filled.notify_one();
}

void Closer::close_socket(shm::UniqueFd fd) {
  if (fd.valid()) ::shutdown(fd.get(), SHUT_RDWR);
  put(std::move(fd), kSocket);
}

void Closer::put(shm::UniqueFd fd, Kind kind) {
  if (!fd.valid()) return;
  queue_->waiting[kind].fetch_add(1, std::memory_order_relaxed);
  const shm::Locked lock(queue_->mutex);
  queue_->items.push_back({fd.release(), kind});
  queue_->filled.notify_one();
}

std::size_t Closer::finish(std::chrono::milliseconds limit) {
  queue_->closed.wait([this] { return waiting() == 0; }, std::chrono::steady_clock::now() + limit);
  return waiting();
}

void Closer::run(std::shared_ptr<Queue> queue) {
  for (Item item = next_of(*queue); item.fd >= 0; item = next_of(*queue)) {
    ::close(item.fd);
    queue->waiting[item.kind].fetch_sub(1, std::memory_order_relaxed);
    queue->closed.ring();
  }
}

Closer::Item Closer::next_of(Queue& queue) {
  const shm::Locked lock(queue.mutex);
  while (!queue.ended && queue.items.empty()) queue.filled.wait(queue.mutex);
  if (queue.items.empty()) return {};
  const Item item = queue.items.front();
  queue.items.pop_front();
  return item;
}

}  // namespace memfail::server
