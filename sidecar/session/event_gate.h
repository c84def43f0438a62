// SPDX-License-Identifier: BSD-3-Clause
//
// Which incidents of a VM have an event of their own, and what is published for
// the others. Decides only; the intake publishes.
//
// The intake calls
//   note_page()  for a page that is news, as PoisonTable::note_report() says
//   admit()      for each incident at its outcome, once
//   next_due()   after each of these and after each pass, until there is none; what
//                it has after admit() goes out before that incident's event
//   next_due(kEndOfTime, …) at the session's end: what is still held
// Nothing here wakes up by itself: an idle VM's counts wait for its next activity.
//
// Every incident is in exactly one count: an Admission's, a Repeats' or a
// StormOver's. Drills have a storm of their own: it never hides a real failure.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <variant>

#include "sidecar/decision/rules.h"
#include "sidecar/session/coalescer.h"
#include "sidecar/session/page_report.h"
#include "sidecar/session/storm.h"

namespace memfail::session {

inline constexpr std::uint64_t kEndOfTime = std::numeric_limits<std::uint64_t>::max();

struct Announcement {
  std::variant<StormBegan, Repeats, StormOver> what;
  bool drill = false;
};

class EventGate {
 public:
  static constexpr std::size_t kStreams = 1024;  // kinds of incidents that repeat at a time

  explicit EventGate(std::size_t streams = kStreams) : coalescer_(streams) {}

  void note_page(bool drill, const decision::Rules& rules, std::uint64_t now_ns);

  // Publishes what names no page, and in a storm what ends the guest's run.
  Admission admit(const PageOutcome& outcome, const decision::Rules& rules, std::uint64_t now_ns);

  std::optional<Announcement> next_due(const decision::Rules& rules, std::uint64_t now_ns);

 private:
  std::optional<Announcement> storm_due(bool drill, std::uint64_t now_ns);
  Storm& storm_of(bool drill) { return drill ? drill_storm_ : storm_; }

  Storm storm_;
  Storm drill_storm_;
  Coalescer coalescer_;
};

}  // namespace memfail::session
