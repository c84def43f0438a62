// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/poison_table.h"

#include <algorithm>

#include "sidecar/decision/region_map.h"

namespace memfail::session {
namespace {

using decision::kPageSize;
using decision::Severity;
using wire::Delivered;
using wire::Verdict;

RepeatLog::Meeting meeting_of(const PageReport& report, const decision::Rules& rules,
                              std::uint64_t now_ns) {
  return {now_ns, rules.repeat_seconds * kSecondNs, report.guest_epoch, report.vcpu};
}

// A backing page may begin before what its region maps of it: then no address.
std::uint64_t gpa_of_start(const PageRange& range, PageNumber page, std::uint64_t gpa) {
  const std::uint64_t before = (page - range.first) * kPageSize;
  const std::uint64_t start = gpa & ~(kPageSize - 1);
  return gpa == wire::kNoAddress || start < before ? wire::kNoAddress : start - before;
}

Loss loss_at(PageNumber page, std::uint64_t gpa, std::uint64_t size) {
  Loss loss;
  loss.range = backing_page(page, size);
  loss.gpa = gpa_of_start(loss.range, page, gpa);
  loss.drill = true;  // until something else speaks of it
  return loss;
}

void merge(Loss& into, const Loss& from) {
  into.reports += from.reports;
  if (into.first_us == 0 || (from.first_us != 0 && from.first_us < into.first_us)) {
    into.first_us = from.first_us;
  }
  into.last_us = std::max(into.last_us, from.last_us);
  into.drill = into.drill && from.drill;
}

void count_report(Loss& loss, bool drill, std::uint64_t realtime_us) {
  ++loss.reports;
  if (loss.first_us == 0) loss.first_us = realtime_us;
  loss.last_us = realtime_us;
  loss.drill = loss.drill && drill;
}

// Both sides have counted since they first knew of it: the longer memory counts.
void take_over(Loss& loss, const KnownPage& known) {
  loss.drill = loss.drill && known.drill;
  loss.reports = std::max(loss.reports, known.reports);
  const bool earlier = known.first_us != 0 && known.first_us < loss.first_us;
  if (loss.first_us == 0 || earlier) loss.first_us = known.first_us;
  loss.last_us = std::max(loss.last_us, known.last_us);
}

// A nested guest's record cannot be read back (`unverified`): better told twice
// than never.
bool tells_guest(const PageOutcome& outcome) {
  const bool injection =
      outcome.verdict == Verdict::inject || outcome.verdict == Verdict::inject_deferred;
  return injection && outcome.delivered == Delivered::delivered;
}

void tell(Page& page, std::uint32_t guest_epoch) {
  page.told_in = std::max(page.told_in.value_or(guest_epoch), guest_epoch);
}

}  // namespace

PoisonTable::PoisonTable(const PoisonCapacity& capacity)
    : capacity_(capacity), repeats_(capacity.repeats) {}

// ---- what is asked ---------------------------------------------------------------

decision::History PoisonTable::history(const PageReport& report, const decision::Rules& rules,
                                       std::uint64_t now_ns) const {
  decision::History history;
  const bool required = report.severity == Severity::kActionRequired;
  history.repeats = required ? 1 : 0;
  const auto number = page_number(report.where);
  if (!number) return history;
  const Loss* const loss = covering(*number);
  if (loss != nullptr && loss->drill && !report.drill) return history;
  history.known = loss != nullptr;
  const auto page = pages_.find(*number);
  if (page == pages_.end()) return history;
  history.guest_told = page->second.told_in == report.guest_epoch;
  const RepeatLog::Meeting meeting = meeting_of(report, rules, now_ns);
  // What the policy asks: whether there are so many.
  history.repeats = required ? repeats_.count_with(page->second.met, meeting, rules.repeat_limit)
                             : repeats_.count(page->second.met, meeting, rules.repeat_limit);
  return history;
}

bool PoisonTable::is_told(PageNumber page, std::uint32_t guest_epoch) const {
  const auto found = pages_.find(page);
  return found != pages_.end() && found->second.told_in == guest_epoch;
}

std::uint64_t PoisonTable::told_pages(const Loss& loss, std::uint32_t guest_epoch) const {
  return static_cast<std::uint64_t>(std::count_if(
      pages_.lower_bound(loss.range.first), pages_.lower_bound(loss.range.end()),
      [guest_epoch](const auto& page) { return page.second.told_in == guest_epoch; }));
}

const Loss* PoisonTable::covering(PageNumber page) const {
  auto after = broken_.upper_bound(page);
  if (after == broken_.begin()) return nullptr;
  const Loss& loss = std::prev(after)->second;
  return loss.range.contains(page) ? &loss : nullptr;
}

// ---- what is told ----------------------------------------------------------------

bool PoisonTable::note_report(const PageReport& report, Verdict verdict,
                              const decision::Rules& rules, const Instant& now) {
  const auto number = page_number(report.where);
  if (report.severity == Severity::kNone || !number) return false;
  if (!report.drill) forget_drills(backing_page(*number, report.where.lost_size));
  const std::size_t pages_before = pages_.size();
  Loss* loss = find_or_add(*number, report.where.gpa, report.where.lost_size);
  Page* page = loss == nullptr ? nullptr : add_page(*number);
  if (loss != nullptr) count_report(*loss, report.drill, now.realtime_us);
  if (page == nullptr) {
    ++refused_;
    return true;
  }
  if (report.severity == Severity::kActionRequired && verdict != Verdict::retry) {
    page->met = repeats_.add(page->met, meeting_of(report, rules, now.monotonic_ns));
  }
  return pages_.size() != pages_before;
}

void PoisonTable::note_outcome(const PageOutcome& outcome) {
  const auto number = page_number(outcome.report.where);
  if (!number || !tells_guest(outcome)) return;
  const auto page = pages_.find(*number);
  if (page != pages_.end()) tell(page->second, outcome.report.guest_epoch);
}

void PoisonTable::note_repaired(std::uint64_t hva, std::uint64_t gpa, std::uint64_t size) {
  if (const auto number = page_number(hva, gpa)) repair(backing_page(*number, size));
}

void PoisonTable::rebuild(std::span<const KnownPage> known, std::uint32_t guest_epoch) {
  for (const KnownPage& one : known) rebuild_one(one, guest_epoch);
}

void PoisonTable::rebuild_one(const KnownPage& known, std::uint32_t guest_epoch) {
  const auto number = page_number(known.hva, known.gpa);
  if (!number) return;
  if (known.repaired) {
    repair(backing_page(*number, known.size));
    add_repaired(known, *number);
    return;
  }
  Loss* loss = find_or_add(*number, known.gpa, known.size);
  Page* page = loss == nullptr ? nullptr : add_page(*number);
  if (loss != nullptr) take_over(*loss, known);
  if (page == nullptr) {
    ++refused_;
  } else if (known.told) {
    tell(*page, guest_epoch);
  }
}

// Only for people: nothing makes room for it.
void PoisonTable::add_repaired(const KnownPage& known, PageNumber page) {
  if (covering(page) != nullptr || broken_.size() + repaired_.size() >= capacity_.losses) return;
  const Loss loss = loss_at(page, known.gpa, known.size);
  repaired_.try_emplace(loss.range.first, loss).first->second.drill = known.drill;
}

// ---- the trees -------------------------------------------------------------------

// What is known to be lost with a page may grow: KVM's own fault speaks of 4 KiB.
Loss* PoisonTable::find_or_add(PageNumber page, std::uint64_t gpa, std::uint64_t size) {
  const Loss loss = loss_at(page, gpa, size);
  const Loss* known = covering(page);
  if (known != nullptr && known->range.count >= loss.range.count) {
    return &broken_.find(known->range.first)->second;
  }
  return add(loss);
}

// Null: no room. Nothing was taken away then.
Loss* PoisonTable::add(Loss loss) {
  absorb(loss);
  const auto again = repaired_.find(loss.range.first);
  if (again != repaired_.end() && again->second.range == loss.range) {
    merge(loss, again->second);
    repaired_.erase(again);
  }
  if (!make_room()) return nullptr;
  return &broken_.emplace(loss.range.first, loss).first->second;
}

// Takes in the smaller losses within: the tree stays disjoint.
void PoisonTable::absorb(Loss& into) {
  auto inner = broken_.lower_bound(into.range.first);
  while (inner != broken_.end() && inner->first < into.range.end()) {
    merge(into, inner->second);
    inner = broken_.erase(inner);
  }
}

void PoisonTable::forget_drills(const PageRange& range) {
  auto loss = broken_.lower_bound(range.first);
  if (loss != broken_.begin() && std::prev(loss)->second.range.contains(range.first)) --loss;
  while (loss != broken_.end() && loss->first < range.end()) {
    const PageRange& drilled = loss->second.range;
    if (loss->second.drill) {
      pages_.erase(pages_.lower_bound(drilled.first), pages_.lower_bound(drilled.end()));
      loss = broken_.erase(loss);
    } else {
      ++loss;
    }
  }
}

bool PoisonTable::make_room() {
  if (broken_.size() + repaired_.size() < capacity_.losses) return true;
  if (repaired_.empty()) return false;
  repaired_.erase(repaired_.begin());
  return true;
}

Page* PoisonTable::add_page(PageNumber page) {
  const auto at = pages_.lower_bound(page);
  if (at != pages_.end() && at->first == page) return &at->second;
  if (pages_.size() >= capacity_.pages) return nullptr;
  return &pages_.emplace_hint(at, page, Page{})->second;
}

// Together with what was told of it and how often it was met: a clean page.
void PoisonTable::repair(const PageRange& range) {
  auto loss = broken_.lower_bound(range.first);
  while (loss != broken_.end() && loss->second.range.end() <= range.end()) {
    const PageRange& gone = loss->second.range;
    pages_.erase(pages_.lower_bound(gone.first), pages_.lower_bound(gone.end()));
    repaired_.erase(loss->first);
    repaired_.insert(broken_.extract(loss++));
  }
}

}  // namespace memfail::session
