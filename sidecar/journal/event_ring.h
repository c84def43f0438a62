// SPDX-License-Identifier: BSD-3-Clause
//
// The last events, in memory, for readers that follow.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "schema/event_generated.h"

namespace memfail::journal {

class EventRing {
 public:
  static constexpr std::size_t kEvents = 4096;

  explicit EventRing(std::uint64_t next_seq)
      : events_(kEvents), first_(next_seq), next_(next_seq) {}

  // Oldest one here; next_seq() when there is none.
  std::uint64_t first_seq() const { return first_; }
  std::uint64_t next_seq() const { return next_; }

  // `record` is a verified wire::EventRecord. A seq that does not follow the last one
  // begins anew: what was there before could not be read without a hole.
  void put(std::uint64_t seq, std::span<const std::byte> record) {
    if (seq != next_) first_ = seq;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(record.data());
    events_[seq % kEvents].assign(bytes, bytes + record.size());
    next_ = seq + 1;
    if (next_ - first_ > kEvents) first_ = next_ - kEvents;
  }

  // Valid until kEvents more have come; null where it is not here.
  const wire::EventRecord* event(std::uint64_t seq) const {
    if (seq < first_ || seq >= next_) return nullptr;
    return wire::GetEventRecord(events_[seq % kEvents].data());
  }

 private:
  std::vector<std::vector<std::uint8_t>> events_;
  std::uint64_t first_;
  std::uint64_t next_;
};

}  // namespace memfail::journal
