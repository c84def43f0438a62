// SPDX-License-Identifier: BSD-3-Clause
#include "tests/kill/judge.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "sidecar/decision/reason.h"

namespace memfail::kill {
namespace {

// The one right answer to what the load does: an Intel guest that is ready, a page of
// its RAM, action required (docs/decisions.md).
constexpr std::uint64_t kStatus = 0xBD80'0000'0000'0134;
constexpr std::uint64_t kMcgStatus = 7;
constexpr std::uint8_t kBank = 9;

std::string hex(std::uint64_t value) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%" PRIx64, value);
  return text.data();
}

template <typename Enum>
std::string word(std::uint8_t number) {
  return std::string(decision::name_of(static_cast<Enum>(number)));
}

std::string name_of(std::uint32_t lane, std::uint64_t sequence) {
  return "lane " + std::to_string(lane) + " sequence " + std::to_string(sequence) + ": ";
}

bool is_right(const Told& told, const Entry& entry) {
  return told.verdict == static_cast<std::uint8_t>(wire::Verdict::inject) &&
         told.reason == static_cast<std::uint8_t>(wire::Reason::guest_memory) &&
         told.delivered == static_cast<std::uint8_t>(wire::Delivered::delivered) &&
         told.bank == kBank && told.status == kStatus && told.mcg_status == kMcgStatus &&
         told.gpa == entry.gpa && entry.machine_checks.load() == 1;
}

std::string text_of(const Told& told) {
  return word<wire::Verdict>(told.verdict) + " " + word<wire::Reason>(told.reason) + " " +
         word<wire::Delivered>(told.delivered) + " by " + word<wire::DecidedBy>(told.decided_by) +
         " bank " + std::to_string(told.bank) + " " + hex(told.status) + " at " + hex(told.gpa);
}

std::string text_of(const Event& event) {
  return event.verdict + " " + event.reason + " " + event.delivered + " by " + event.decided_by +
         " bank " + std::to_string(event.bank) + " " + event.status + " at " + event.gpa;
}

bool is_same(const Told& told, const Event& event) {
  return event.verdict == word<wire::Verdict>(told.verdict) &&
         event.reason == word<wire::Reason>(told.reason) &&
         event.delivered == word<wire::Delivered>(told.delivered) &&
         event.decided_by == word<wire::DecidedBy>(told.decided_by) && event.bank == told.bank &&
         event.status == hex(told.status) && event.mcg_status == hex(told.mcg_status) &&
         event.gpa == hex(told.gpa);
}

bool needs_event(const Entry& entry, Fate fate) {
  const Progress progress = entry.progress.load();
  switch (fate) {
    case Fate::kIdle:
      return true;
    case Fate::kDied:
      return progress >= Progress::kReported;
    case Fate::kAlone:
      return progress == Progress::kEnded &&
             entry.told.decided_by == static_cast<std::uint8_t>(wire::DecidedBy::sidecar);
  }
  return false;
}

bool is_right(const Event& event, const Entry& entry) {
  return event.verdict == "inject" && event.reason == "guest-memory" &&
         event.delivered == "delivered" && event.bank == kBank && event.status == hex(kStatus) &&
         event.mcg_status == hex(kMcgStatus) && event.gpa == hex(entry.gpa) &&
         (event.decided_by == "sidecar" || event.decided_by == "builtin");
}

}  // namespace

void Judge::forgive() {
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) forgiven_[lane] = log_.begun[lane].load();
}

std::uint64_t Judge::missing(Fate fate) const {
  std::uint64_t count = 0;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    const std::uint64_t last = log_.begun[lane].load();
    for (std::uint64_t n = std::max(judged_[lane], forgiven_[lane]) + 1; n <= last; ++n) {
      if (!needs_event(log_.entry(lane, n), fate)) continue;
      count += story_.find(session_, lane, n) == nullptr ? 1 : 0;
    }
  }
  return count;
}

void Judge::judge(Fate fate) {
  std::uint64_t unfinished = 0;  // begun, and nothing was told of it
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    const std::uint64_t last = log_.begun[lane].load();
    for (std::uint64_t n = judged_[lane] + 1; n <= last; ++n) {
      compare(lane, n, fate);
      const bool begun = log_.entry(lane, n).progress.load() == Progress::kBegun;
      unfinished += begun && story_.find(session_, lane, n) == nullptr ? 1 : 0;
    }
    if (story_.find(session_, lane, last + 1) != nullptr) {
      story_.complain(name_of(lane, last + 1) + "an event of what never was");
    }
    judged_[lane] = last;
  }
  if (log_.lost_reports.load() != 0) story_.complain("reports without a cell");
  if (log_.wrong.load() != 0)
    story_.complain("the VM says: " + std::string(log_.what_is_wrong.data()));
  check_half_written(unfinished);
}

void Judge::compare(std::uint32_t lane, std::uint64_t sequence, Fate fate) {
  const Entry& entry = log_.entry(lane, sequence);
  const std::string who = name_of(lane, sequence);
  const bool ended = entry.progress.load() == Progress::kEnded;
  if (fate == Fate::kIdle && !ended) story_.complain(who + "its wait has not ended");
  if (ended && !is_right(entry.told, entry)) {
    story_.complain(who + "wrong: " + text_of(entry.told) +
                    ", machine checks set: " + std::to_string(entry.machine_checks.load()));
  }
  const Event* event = story_.find(session_, lane, sequence);
  if (event == nullptr) return;
  if (event->vcpu != static_cast<std::int64_t>(lane)) story_.complain(who + "another vCPU's event");
  if (event->reason == "vmm-exited") {
    compare_exited(*event, entry, fate, who);
  } else if (!is_right(*event, entry)) {
    story_.complain(who + "wrong event: " + text_of(*event));
  } else if (ended && !is_same(entry.told, *event)) {
    story_.complain(who + "told as " + text_of(*event) + ", but was " + text_of(entry.told));
  }
}

// An incident that the VM died in: nothing may be claimed of it that is not known.
// An outcome that no sidecar lived to see is not known: the event is the promise's.
void Judge::compare_exited(const Event& event, const Entry& entry, Fate fate,
                           const std::string& who) {
  const bool ended = entry.progress.load() == Progress::kEnded;
  if (ended && fate != Fate::kAlone) story_.complain(who + "it had an outcome");
  if (event.verdict != "none" && event.verdict != "inject") {
    story_.complain(who + "wrong event: " + text_of(event));
  }
  const bool may_have_been_told = event.delivered == "unknown";
  if (!may_have_been_told && event.delivered != "none") {
    story_.complain(who + "delivered " + event.delivered + ": nobody can know");
  }
  if (!may_have_been_told && entry.machine_checks.load() != 0) {
    story_.complain(who + "delivered none, and a machine check had been set");
  }
}

void Judge::check_half_written(std::uint64_t unfinished) {
  if (story_.half_written(session_) > unfinished) {
    story_.complain("half-written: " + std::to_string(story_.half_written(session_)) +
                    ", but only " + std::to_string(unfinished) + " reports were under way");
  }
}

}  // namespace memfail::kill
