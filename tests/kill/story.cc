// SPDX-License-Identifier: BSD-3-Clause
#include "tests/kill/story.h"

#include <algorithm>
#include <utility>

namespace memfail::kill {
namespace {

constexpr std::size_t kMostComplaints = 20;

std::string name_of(const Event& event) {
  return "seq " + std::to_string(event.seq) + " (session " + event.session.substr(0, 8) + " lane " +
         std::to_string(event.lane) + " sequence " + std::to_string(event.sequence) + ", " +
         event.reason + ")";
}

}  // namespace

void Story::complain(const std::string& what) {
  if (complaints_.size() < kMostComplaints) complaints_.push_back(what);
}

void Story::take(std::string_view line) {
  if (const auto note = parse_note(line)) {
    take_note(*note);
  } else if (const auto event = parse_event(line)) {
    take_event(*event);
  } else {
    complain("a line that is neither event nor note: " + std::string(line));
  }
}

void Story::take_note(const StreamNote& note) {
  if (!note.other.empty()) complain("the stream says: " + note.other);
  if (note.cut_off && !may_be_overwritten_) complain("the stream says that we are too slow");
  if (note.gap) take_gap(note);
  if (!note.first_seq || note.journal == journal_) return;
  gap_due_ = journal_;
  gap_from_ = next_seq();
  journal_ = note.journal;
  last_seq_ = *note.first_seq - 1;
  fresh_ = true;
  ++journals_;
  // Order is a promise of each journal: one that is put back tells its own once more.
  for (auto& [id, session] : sessions_) {
    for (auto& [index, lane] : session.lanes) lane.highest = 0;
  }
}

// Another journal says that it does not know what we ask for, from where on we asked;
// ours says it only of what was overwritten.
void Story::take_gap(const StreamNote& note) {
  if (!gap_due_.empty()) {
    if (note.gap_journal != gap_due_ || note.gap_from != gap_from_) {
      complain("a gap in journal " + note.gap_journal + " from " + std::to_string(note.gap_from) +
               ", where " + gap_due_ + " from " + std::to_string(gap_from_) + " was asked for");
    }
    gap_due_.clear();
    ++other_journals_;
    return;
  }
  // Of a journal that we had not read: what it had before its first is gone as well.
  if (std::exchange(fresh_, false) && note.gap_from == 1 && note.gap_to == last_seq_) return;
  if (!may_be_overwritten_ || !note.gap_journal.empty() || note.gap_from != next_seq() ||
      note.gap_to < note.gap_from) {
    complain("the stream says that events are gone: " + std::to_string(note.gap_from) + " to " +
             std::to_string(note.gap_to) + ", after " + std::to_string(last_seq_));
  }
  last_seq_ = note.gap_to;
  ++overwritten_;
}

void Story::take_event(const Event& event) {
  ++events_;
  fresh_ = false;
  if (!gap_due_.empty()) complain(name_of(event) + " and no word of journal " + gap_due_);
  if (event.seq != last_seq_ + 1) {
    complain(name_of(event) + " follows seq " + std::to_string(last_seq_));
  }
  last_seq_ = event.seq;
  measure(event);
  if (event.count != 1 && event.sequence != 0) complain(name_of(event) + " stands for several");
  if (event.sequence == 0) {
    take_count(event);
    return;
  }
  Lane& lane = sessions_[event.session].lanes[event.lane];
  if (const auto found = lane.events.find(event.sequence); found != lane.events.end()) {
    take_again(found->second, event);
    return;
  }
  if (event.sequence < lane.highest) {
    complain(name_of(event) + " comes after " + std::to_string(lane.highest) + " of its lane");
  }
  lane.highest = std::max(lane.highest, event.sequence);
  lane.events.emplace(event.sequence, Kept{event, journal_});
}

void Story::measure(const Event& event) {
  not_durable_ += event.durable ? 0 : 1;
  if (event.sequence == 0) return;
  decided_by_builtin_ += event.decided_by == "builtin" ? 1 : 0;
  if (may_fail_ && event.decided_by == "sidecar") latencies_.push_back(event.latency_ns);
}

// No incident's own event. The load leaves nothing uncounted but what it dies in.
void Story::take_count(const Event& event) {
  if (event.reason == "half-written") {
    sessions_[event.session].half_written += event.count;
  } else if (may_fail_ && event.reason == "records-at-risk") {
    ++outages_;
    at_risk_last_ = event.count;
  } else {
    complain(name_of(event) + " was not expected");
  }
}

void Story::take_again(Kept& kept, const Event& event) {
  // The same journal may be read again, after another: each seq is what it was.
  if (kept.journal == journal_ && kept.event.seq != event.seq) {
    complain(name_of(event) + " comes twice in one journal, before as seq " +
             std::to_string(kept.event.seq));
  }
  if (kept.event.verdict != event.verdict || kept.event.delivered != event.delivered ||
      kept.event.status != event.status || kept.event.decided_by != event.decided_by) {
    complain(name_of(event) + " is told again, and otherwise");
  }
  kept.journal = journal_;
  kept.event.seq = event.seq;
  ++told_again_;
}

const Event* Story::find(const std::string& session, std::uint32_t lane,
                         std::uint64_t sequence) const {
  const auto one = sessions_.find(session);
  if (one == sessions_.end()) return nullptr;
  const auto its = one->second.lanes.find(lane);
  if (its == one->second.lanes.end()) return nullptr;
  const auto found = its->second.events.find(sequence);
  return found == its->second.events.end() ? nullptr : &found->second.event;
}

std::uint64_t Story::half_written(const std::string& session) const {
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? 0 : found->second.half_written;
}

}  // namespace memfail::kill
