// SPDX-License-Identifier: BSD-3-Clause
//
// One VM must not fill the front while a disk is slow: each session has a quarter.
//
// What a session has in the front is counted by epochs, without a list of frames: an
// epoch ends once the tail has passed the head at which it began, so everything from
// the epoch before the last one is gone from the front. What this counts is never less
// than what is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "sidecar/journal/front.h"
#include "sidecar/journal/incident_id.h"

namespace memfail::journal {

class FrontShare {
 public:
  static constexpr std::size_t kPart = 4;

  // Makes room for a session, so that take() allocates nothing.
  void admit(const wire::Id128& session) { shares_.try_emplace(session); }
  void forget(const wire::Id128& session) { shares_.erase(session); }

  // Whether `session` may put `size` bytes more into `front`; they count from here on.
  bool take(const wire::Id128& session, std::size_t size, const Front& front) {
    if (front.tail() >= epoch_began_) {
      epoch_ += front.used() == 0 ? 2 : 1;  // nothing is left of either
      epoch_began_ = front.head();
    }
    Share& share = shares_[session];
    if (share.epoch != epoch_) {
      share.before = share.epoch + 1 == epoch_ ? share.now : 0;
      share.now = 0;
      share.epoch = epoch_;
    }
    if (share.before + share.now + size > front.capacity() / kPart) return false;
    share.now += size;
    return true;
  }
  // It was not put there after all.
  void give_back(const wire::Id128& session, std::size_t size) { shares_[session].now -= size; }

 private:
  struct Share {
    std::uint64_t epoch = 0;
    std::size_t before = 0;
    std::size_t now = 0;
  };

  std::map<wire::Id128, Share, Id128Order> shares_;
  std::uint64_t epoch_ = 1;
  std::uint64_t epoch_began_ = 0;
};

}  // namespace memfail::journal
