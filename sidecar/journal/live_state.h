// SPDX-License-Identifier: BSD-3-Clause
//
// What the records come to: the sessions there are, the verdicts that have no
// event yet, the incidents that have theirs, the next seq. Records are applied one
// by one, in the order of their numbers; a checkpoint is this state written down.
//
// Pure: no I/O, no clock. The loop thread has one, brought up to date with each
// record it appends; the journal thread has one, up to date with each record it
// has copied, from which it makes the checkpoints; recovery has one to begin with.
//
// A cell's incidents come one after the other, so its events do. Incident n of a
// lane counts in place (n - 1) % 4: in a vCPU's lane that is its cell, in a slot of
// the process lane it only spreads what comes in order anyway.
//
// It is never larger than a checkpoint may be (checkpoint_room.h): what finds no room is a
// record all the same, and changes the state no further than to its number and seq.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "schema/event_generated.h"
#include "schema/journal_generated.h"
#include "sidecar/journal/checkpoint_room.h"
#include "sidecar/journal/incident_id.h"
#include "sidecar/journal/record_frame.h"
#include "sidecar/journal/session_fields.h"
#include "sidecar/journal/verdict_pool.h"

namespace memfail::journal {

enum class Applied : std::uint8_t {
  kNew,
  kKnown,    // its number was applied before: nothing changed
  kGap,      // records between are missing: nothing changed
  kInvalid,  // its payload is none of its type: nothing changed
};

// What a checkpoint says beside the state.
struct CheckpointLabel {
  wire::Id128 journal;
  wire::Id128 boot;
  std::uint64_t generation = 0;
  std::uint64_t first_seq = 1;
};

class LiveState {
 public:
  static constexpr std::uint32_t kPlaces = 4;      // incidents open at a time, in a lane
  static constexpr std::uint32_t kMaxLane = 2048;  // a lane from here on is none

  struct Lane {
    std::array<std::uint64_t, kPlaces> evented{};  // highest with an event; 0: none
    std::array<std::uint32_t, kPlaces> open = {VerdictPool::kNone, VerdictPool::kNone,
                                               VerdictPool::kNone, VerdictPool::kNone};
  };
  struct Session {
    std::optional<OwnedSession> record;
    std::vector<Lane> lanes;
    std::uint64_t folded = 0;
    // What its VMM only counts, as far as events have said it.
    std::uint64_t lost_reports = 0;
    std::uint64_t backing_store = 0;
    std::uint32_t open = 0;
    std::size_t texts = 0;  // bytes of those in its record
    std::size_t marks = 0;  // lanes with an event
  };
  using Sessions = std::map<wire::Id128, Session, Id128Order>;

  // A whole record of the front or of a journal file. Numbers must follow one
  // another; a record of number 0 (checkpoint, pad, loss) changes nothing here.
  // Allocates nothing for a verdict of a session whose record is known, as long as
  // not more than VerdictPool::kFirst are open.
  Applied apply(const Record& record);

  // Reads a checkpoint's payload. Nullopt: it is none, or of a session or lane that
  // cannot be.
  static std::optional<LiveState> from_checkpoint(std::span<const std::byte> payload);

  // Writes the state down, as the payload of a kCheckpoint record.
  std::vector<std::byte> checkpoint(const CheckpointLabel& label) const;

  // How large a checkpoint of it may become, in bytes; without this, any size. Every state
  // that the same records are applied to has the same limit.
  void limit_checkpoint(std::size_t bytes) { room_.limit_to(bytes); }
  const CheckpointRoom& room() const { return room_; }
  // Whether this would be taken in. A verdict: of whatever session and lane.
  bool has_room_for_verdict() const;
  bool has_room_for(const SessionFields& session) const;

  // After kGap: the records up to `number` are gone for good.
  void skip_to(std::uint64_t number);

  std::uint64_t next_seq() const { return next_seq_; }
  std::uint64_t next_number() const { return next_number_; }
  const Sessions& sessions() const { return sessions_; }
  std::uint32_t open_verdicts() const { return verdicts_.used(); }

  // Whether this incident has its event, or one that counts it.
  bool has_event(const IncidentId& id) const;
  // An answered incident without an event. Valid until the next apply().
  const wire::VerdictRecord* find_verdict(const IncidentId& id) const;
  std::vector<wire::VerdictRecord> open_of(const wire::Id128& session) const;

 private:
  bool apply_payload(const Record& record);
  bool apply_verdict(const wire::VerdictRecord& verdict);
  bool apply_event(const Record& record);
  static void take_counts(Session& session, const wire::EventRecord& event);
  bool apply_folded(const wire::FoldedRecord& folded);
  bool apply_session(std::span<const std::byte> payload);
  bool restore(const wire::LiveSession& from);
  bool restore_mark(const wire::Id128& id, const wire::LaneMark& mark);
  bool mark(const wire::Id128& id, std::uint32_t lane, std::uint64_t sequence);
  Session* with_lane(const wire::Id128& id, std::uint32_t lane);
  void set_mark(Session& session, Lane& lane, std::size_t place, std::uint64_t sequence);
  void close_verdict(Session& session, std::uint32_t& open);
  void set_record(Session& session, OwnedSession record);
  const Lane* find_lane(const IncidentId& id) const;
  void forget_if_over(const wire::Id128& id);

  std::uint64_t next_seq_ = 1;
  std::uint64_t next_number_ = 1;
  Sessions sessions_;
  VerdictPool verdicts_;
  CheckpointRoom room_;
};

// What a checkpoint's payload says beside its state; nullopt: it is none.
std::optional<CheckpointLabel> checkpoint_label(std::span<const std::byte> payload);

}  // namespace memfail::journal
