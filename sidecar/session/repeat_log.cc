// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/repeat_log.h"

namespace memfail::session {
namespace {

// Where a link of `mark` leads to.
RepeatLog::Mark before(RepeatLog::Mark mark, std::uint32_t link) {
  return link == 0 ? RepeatLog::kNone : mark - link;
}

}  // namespace

RepeatLog::Mark RepeatLog::add(Mark newest, const Meeting& meeting) {
  if (kept(newest) && at(newest).guest_epoch > meeting.guest_epoch) return newest;
  if (entries_ == nullptr) entries_ = std::make_unique_for_overwrite<Entry[]>(capacity_);
  const bool begins = begins_round(newest, meeting);
  const Mark last_round = begins || !kept(newest) ? newest : before(newest, at(newest).last_round);
  ++last_;
  Entry& entry = at(last_);
  if (last_ > capacity_ && entry.time_ns + meeting.window_ns > meeting.now_ns) ++overwritten_;
  const auto link = [this](Mark to) {
    return kept(to) ? static_cast<std::uint32_t>(last_ - to) : 0;
  };
  entry = {meeting.now_ns, begins ? 0 : link(newest), link(last_round), meeting.guest_epoch,
           meeting.vcpu};
  return last_;
}

std::uint32_t RepeatLog::count(Mark newest, const Meeting& meeting, std::uint32_t most) const {
  std::uint32_t found = 0;
  for (Mark mark = newest; found < most && counts(mark, meeting); ++found) {
    mark = before(mark, at(mark).last_round);
  }
  return found;
}

std::uint32_t RepeatLog::count_with(Mark newest, const Meeting& meeting, std::uint32_t most) const {
  return count(newest, meeting, most) + (begins_round(newest, meeting) ? 1 : 0);
}

bool RepeatLog::counts(Mark mark, const Meeting& meeting) const {
  if (!kept(mark)) return false;
  const Entry& entry = at(mark);
  return entry.time_ns + meeting.window_ns > meeting.now_ns &&
         entry.guest_epoch == meeting.guest_epoch;
}

bool RepeatLog::begins_round(Mark newest, const Meeting& meeting) const {
  if (meeting.vcpu < 0 || !counts(newest, meeting)) return true;
  for (Mark mark = newest; counts(mark, meeting); mark = before(mark, at(mark).in_round)) {
    if (at(mark).vcpu == meeting.vcpu) return true;
  }
  return false;
}

}  // namespace memfail::session
