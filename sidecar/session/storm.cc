// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/storm.h"

#include <algorithm>
#include <utility>

#include "sidecar/session/page_report.h"

namespace memfail::session {

void Storm::note_page(const decision::Rules& rules, std::uint64_t now_ns) {
  const std::uint64_t window_ns = rules.storm_seconds * kSecondNs;
  times_.push_back(now_ns);
  while (times_.size() > rules.storm_pages) times_.pop_front();
  if (times_.size() < rules.storm_pages || times_.front() + window_ns <= now_ns) return;
  // The rate stays as high until the oldest of these leaves the window.
  ends_ns_ = std::max(ends_ns_, times_.front() + 2 * window_ns);
  if (phase_ != Phase::kCalm) return;
  phase_ = Phase::kBegun;
  pages_ = times_.size();
}

std::optional<std::variant<StormBegan, StormOver>> Storm::take_due(std::uint64_t now_ns) {
  if (phase_ == Phase::kBegun) {
    phase_ = Phase::kTold;
    return StormBegan{pages_};
  }
  if (phase_ == Phase::kTold && !on(now_ns)) {
    phase_ = Phase::kCalm;
    return StormOver{std::exchange(suppressed_, 0)};
  }
  return std::nullopt;
}

}  // namespace memfail::session
