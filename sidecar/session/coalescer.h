// SPDX-License-Identifier: BSD-3-Clause
//
// More of the same becomes one event with a count.
//
// Theory of operation. The first incident of a kind (same page, vCPU, life of the
// guest, severity, verdict, reason and delivered) has its event at once. Those
// that follow within the window of that event are held: counted, without an event.
// The count is published
//   with the next event of that kind, which then counts for all;
//   by itself, before an event of another kind of that page and vCPU;
//   by itself, when the window is over, or to make room.
// There is no timer: "when it is over" means at the next call. Every incident is
// in exactly one count.
//
// What ends the guest's run (decision::ends_it) is never held: who has to act on it
// would wait for an activity that may never come.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>

#include "sidecar/session/page_range.h"
#include "sidecar/session/page_report.h"

namespace memfail::session {

// Whether an incident has an event of its own, and how many it then stands for.
struct Admission {
  bool publish = true;
  std::uint64_t count = 1;
};

// An event for `count` incidents that had none, like this one, the last of them.
// Its report.where.region is an index of that report's generation.
struct Repeats {
  PageOutcome outcome;
  std::uint64_t count = 0;
};

class Coalescer {
 public:
  explicit Coalescer(std::size_t capacity) : capacity_(std::max<std::size_t>(capacity, 1)) {}

  // What take_due() has after this comes before the incident's own event.
  Admission admit(PageNumber page, const PageOutcome& outcome, std::uint64_t now_ns,
                  std::uint64_t window_ns);

  // Call until there is none.
  std::optional<Repeats> take_due(std::uint64_t now_ns, std::uint64_t window_ns);

 private:
  struct Kind {
    std::uint32_t guest_epoch = 0;
    decision::Severity severity{};
    bool drill = false;
    wire::Verdict verdict{};
    wire::Reason reason{};
    wire::Delivered delivered{};
    auto operator<=>(const Kind&) const = default;
  };
  struct Key {
    PageNumber page = 0;
    std::int32_t vcpu = -1;
    Kind kind;
    auto operator<=>(const Key&) const = default;
  };
  struct Stream {
    Key key;
    std::uint64_t since_ns = 0;  // when it had its last event
    Repeats held;
  };
  using Streams = std::list<Stream>;

  static Key key_of(PageNumber page, const PageOutcome& outcome);
  void begin(const Key& key, std::uint64_t now_ns);
  void restart(Streams::iterator stream, std::uint64_t now_ns);
  void end_oldest();
  void release_others(const Key& key, std::uint64_t now_ns);
  void release(Stream& stream);

  std::size_t capacity_;
  Streams streams_;  // oldest first
  std::map<Key, Streams::iterator> by_key_;
  std::deque<Repeats> ready_;
};

}  // namespace memfail::session
