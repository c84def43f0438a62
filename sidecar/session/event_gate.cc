// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/event_gate.h"

namespace memfail::session {
namespace {

std::uint64_t window_of(const decision::Rules& rules) { return rules.repeat_seconds * kSecondNs; }

}  // namespace

void EventGate::note_page(bool drill, const decision::Rules& rules, std::uint64_t now_ns) {
  storm_of(drill).note_page(rules, now_ns);
}

Admission EventGate::admit(const PageOutcome& outcome, const decision::Rules& rules,
                           std::uint64_t now_ns) {
  const auto page = page_number(outcome.report.where);
  if (!page) return {};
  Storm& storm = storm_of(outcome.report.drill);
  if (storm.on(now_ns) && !decision::ends_it(outcome.verdict)) {
    storm.suppress();
    return {.publish = false, .count = 0};
  }
  return coalescer_.admit(*page, outcome, now_ns, window_of(rules));
}

std::optional<Announcement> EventGate::next_due(const decision::Rules& rules,
                                                std::uint64_t now_ns) {
  if (auto storm = storm_due(false, now_ns)) return storm;
  if (auto storm = storm_due(true, now_ns)) return storm;
  if (const auto repeats = coalescer_.take_due(now_ns, window_of(rules))) {
    return Announcement{*repeats, repeats->outcome.report.drill};
  }
  return std::nullopt;
}

std::optional<Announcement> EventGate::storm_due(bool drill, std::uint64_t now_ns) {
  const auto due = storm_of(drill).take_due(now_ns);
  if (!due) return std::nullopt;
  return std::visit([drill](const auto& what) { return Announcement{what, drill}; }, *due);
}

}  // namespace memfail::session
