// SPDX-License-Identifier: BSD-3-Clause
//
// How often a VM's pages were met: one ring of marks for all of its pages, bounded
// and exact.
//
// Theory of operation. A guest that makes no progress meets a page again; one with
// many vCPUs may meet it with all of them at once, and has not yet been told. So what
// is counted is rounds: a vCPU that meets the page joins the round, and begins the
// next one where it is in this one already. One vCPU alone begins a round each time;
// any number of them begin as many as the busiest meets, and at most as many as all
// of them together. A task that moves from vCPU to vCPU is counted when one of them
// comes up twice.
//
// The page keeps its newest mark. Each mark is linked to the one before it in its
// round, and to the last one of the round before. To count, one walks from round to
// round until a mark is too old, of another life of the guest, or overwritten; to
// look for a vCPU, back through the newest round, in which each is once. So nothing
// needs to be taken out: what is forgotten is only not reached any more. A VM without
// broken pages has no ring; the memory of one that has is touched as it is used.
//
// Times never go back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "sidecar/decision/rules.h"

namespace memfail::session {

class RepeatLog {
 public:
  static constexpr std::uint32_t kMost = decision::kRepeatLimits.most;  // counts no further

  using Mark = std::uint64_t;
  static constexpr Mark kNone = 0;

  explicit RepeatLog(std::uint32_t capacity) : capacity_(std::max(capacity, 1U)) {}

  struct Meeting {
    std::uint64_t now_ns = 0;
    std::uint64_t window_ns = 0;
    std::uint32_t guest_epoch = 0;
    std::int32_t vcpu = -1;  // -1: none's, a round of its own
  };

  // The page's new newest mark; the same one when this is of an earlier life of the
  // guest.
  Mark add(Mark newest, const Meeting& meeting);

  // Rounds of that life of the guest, met last in (now - window, now]. Each costs a look at
  // memory, and a verdict waits for it: so not beyond `most`.
  std::uint32_t count(Mark newest, const Meeting& meeting, std::uint32_t most = kMost) const;

  // The same with this meeting as one more.
  std::uint32_t count_with(Mark newest, const Meeting& meeting, std::uint32_t most = kMost) const;

  // Marks that made room while they still counted: the counts may be too low by
  // as much.
  std::uint64_t overwritten() const { return overwritten_; }

 private:
  // Links are how many marks ago; 0: there is none.
  struct Entry {
    std::uint64_t time_ns;
    std::uint32_t in_round;
    std::uint32_t last_round;
    std::uint32_t guest_epoch;
    std::int32_t vcpu;
  };

  Entry& at(Mark mark) const { return entries_[mark % capacity_]; }
  bool kept(Mark mark) const { return mark != kNone && mark + capacity_ > last_; }
  bool counts(Mark mark, const Meeting& meeting) const;
  bool begins_round(Mark newest, const Meeting& meeting) const;

  std::uint32_t capacity_;
  std::unique_ptr<Entry[]> entries_;
  Mark last_ = kNone;
  std::uint64_t overwritten_ = 0;
};

}  // namespace memfail::session
