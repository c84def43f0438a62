// SPDX-License-Identifier: BSD-3-Clause
//
// The process of a VM that is on record and not attached.
#pragma once

#include <utility>

#include "schema/incident_layout.h"
#include "shm/unique_fd.h"
#include "sidecar/server/poll_set.h"

namespace memfail::server {

class AbsentWatch;

class AbsentWatchOwner {
 public:
  // Its process has ended. May destroy the watch.
  virtual void absent_exited(AbsentWatch& watch) = 0;

 protected:
  ~AbsentWatchOwner() = default;
};

class AbsentWatch final : private PollTarget {
 public:
  AbsentWatch(AbsentWatchOwner& owner, PollSet& poll_set, const wire::Id128& session,
              shm::UniqueFd vmm)
      : owner_(owner), poll_set_(poll_set), session_(session), vmm_(std::move(vmm)) {}
  AbsentWatch(const AbsentWatch&) = delete;
  AbsentWatch& operator=(const AbsentWatch&) = delete;
  ~AbsentWatch() {
    if (watched_) poll_set_.remove(vmm_.get(), *this);
  }

  bool watch() { return watched_ = poll_set_.add(vmm_.get(), EPOLLIN, *this); }
  const wire::Id128& session() const { return session_; }

 private:
  void on_ready(std::uint32_t) override { owner_.absent_exited(*this); }

  AbsentWatchOwner& owner_;
  PollSet& poll_set_;
  wire::Id128 session_;
  shm::UniqueFd vmm_;
  bool watched_ = false;
};

}  // namespace memfail::server
