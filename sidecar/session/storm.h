// SPDX-License-Identifier: BSD-3-Clause
//
// Whether the pages of a VM break so fast that each for itself is no news.
//
// Counted are pages that are news (PoisonTable::note_report). What a guest meets
// again after its reset is known, and no storm. A storm is on from the page that
// is the Rules::storm_pages-th within Rules::storm_seconds, until the rate has
// been lower than that for as long.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <variant>

#include "sidecar/decision/rules.h"

namespace memfail::session {

struct StormBegan {
  std::uint64_t pages = 0;  // within the time, when it began
};

struct StormOver {
  std::uint64_t suppressed = 0;  // incidents that had no event
};

class Storm {
 public:
  void note_page(const decision::Rules& rules, std::uint64_t now_ns);

  // Over at its time, whether or not somebody was told yet.
  bool on(std::uint64_t now_ns) const { return now_ns < ends_ns_; }

  // An incident has no event of its own because of this storm.
  void suppress() { ++suppressed_; }

  // What is to be published next. A storm that comes before the end of the last
  // one was taken from here continues that one.
  std::optional<std::variant<StormBegan, StormOver>> take_due(std::uint64_t now_ns);

 private:
  enum class Phase : std::uint8_t { kCalm, kBegun, kTold };

  Phase phase_ = Phase::kCalm;
  std::deque<std::uint64_t> times_;  // of the last pages, at most storm_pages
  std::uint64_t pages_ = 0;
  std::uint64_t ends_ns_ = 0;
  std::uint64_t suppressed_ = 0;
};

}  // namespace memfail::session
