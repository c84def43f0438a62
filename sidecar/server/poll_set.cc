// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop): epoll_wait epoll_ctl
#include "sidecar/server/poll_set.h"

#include <utility>

namespace memfail::server {

PollSet::PollSet() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

bool PollSet::add(int fd, std::uint32_t events, PollTarget& target) {
  epoll_event event{.events = events, .data = {.ptr = &target}};
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

bool PollSet::change(int fd, std::uint32_t events, PollTarget& target) {
  epoll_event event{.events = events, .data = {.ptr = &target}};
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0;
}

void PollSet::remove(int fd, const PollTarget& target) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  for (int i = 0; i < batch_size_; ++i) {
    epoll_event& event = batch_[static_cast<std::size_t>(i)];
    if (event.data.ptr == &target) event.data.ptr = nullptr;
  }
}

void PollSet::dispatch(int timeout_ms) {
  const int ready =
      ::epoll_wait(epoll_.get(), batch_.data(), static_cast<int>(batch_.size()), timeout_ms);
  batch_size_ = ready;
  for (int i = 0; i < batch_size_; ++i) {
    const epoll_event event = batch_[static_cast<std::size_t>(i)];
    auto* target = static_cast<PollTarget*>(event.data.ptr);
    if (target != nullptr) target->on_ready(event.events);
  }
  batch_size_ = 0;
}

}  // namespace memfail::server
