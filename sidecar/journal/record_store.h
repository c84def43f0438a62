// SPDX-License-Identifier: BSD-3-Clause
//
// Where the loop thread puts records, and what it knows of them.
//
// - A verdict record is a promise: it has no seq and no reader is shown it. It
//   is found again by its incident, so that a verdict is never given twice.
// - An event record gets the next seq; readers ask for them by seq.
// - Session records say whose verdicts those are.
//
// Behind it stands, in a process that serves, the front; behind that a journal on
// disk, or nothing: then the front alone keeps what it has room for, rolling, with a
// checkpoint at its beginning. A store without a front is memory, for tests.
//
// With a journal, the front fills when the disk does not take what is in it, and one
// session may have a quarter of it. What finds no room is counted, and becomes one event
// a session when there is. Nothing here waits for a disk.
//
// One thread. append_verdict() and find_verdict() allocate nothing, as long as the
// session's record was appended before, and make no system call: they stand between a
// signal and its answer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "sidecar/journal/event_fields.h"
#include "sidecar/journal/event_ring.h"
#include "sidecar/journal/front.h"
#include "sidecar/journal/front_share.h"
#include "sidecar/journal/incident_id.h"
#include "sidecar/journal/journal_health.h"
#include "sidecar/journal/live_state.h"
#include "sidecar/journal/overflow.h"
#include "sidecar/journal/verdict_record.h"

namespace memfail::journal {

// What a store stands on. What is pointed to outlives it.
struct StoreParts {
  std::string id;                         // of the journal, as readers are told
  Front* front = nullptr;                 // none: memory
  std::optional<JournalHealth> journal;   // as it is at the start; none: the front alone
  LiveState state;                        // as recovery has it (recovery.h)
  wire::Id128 boot;
};

struct StoreStatus {
  bool degraded = false;           // not all is as safe as was asked for
  std::uint64_t since_us = 0;      // CLOCK_REALTIME
  int error = 0;                   // errno of the disk, or 0
  std::uint64_t busy_since_ns = 0;  // CLOCK_MONOTONIC: a call to the disk is under way
  std::uint64_t at_risk = 0;       // events that are in the front alone
  std::uint64_t counted_only = 0;  // incidents whose records found no room, in this life
  bool hung = false;               // the disk gives no answer, and no error
  bool front_lost = false;
  // What sessions and open incidents come to is as large as a checkpoint may be, or was
  // until lately: some are not on record.
  bool crowded = false;
  std::size_t checkpoint_size = 0;   // bytes it may take now, and at most
  std::size_t checkpoint_limit = 0;  // 0: memory
  std::uint64_t unrecorded = 0;      // verdicts that found no room, in this life
  std::size_t front_used = 0;
  std::size_t front_capacity = 0;  // 0: memory
};

class RecordStore {
 public:
  static constexpr std::size_t kEvents = EventRing::kEvents;

  // In memory. `id` names the journal to readers: a seq is only good under its id.
  explicit RecordStore(std::string id);
  // Takes up what the front holds. Before there is a second thread.
  explicit RecordStore(StoreParts parts);

  const std::string& id() const { return id_; }
  const wire::Id128& boot() const { return boot_; }  // of the host, now
  // Oldest event that can be had at all; next_seq() when there is none.
  std::uint64_t first_seq() const;
  // Oldest event that event() has.
  std::uint64_t memory_first_seq() const { return events_.first_seq(); }
  std::uint64_t next_seq() const { return state_.next_seq(); }
  // First event that readers are not to be shown yet: it is not durable. All are shown
  // while the journal is degraded.
  std::uint64_t next_readable() const;
  bool durable(std::uint64_t seq) const;
  // A page of the front is lost, and with it what stood there: from here on records are
  // in memory alone, until the next start.
  void lose_front();
  bool front_lost() const { return front_lost_; }
  // The disk gives no answer, and no error either, since then: as degraded, until it is
  // over. Then it was an outage, and the next tend() tells it.
  void note_hung(std::uint64_t since_us);
  void note_hung_over(std::uint64_t now_us);
  bool hung() const { return hang_.has_value(); }
  bool crowded() const { return crowded_; }

  // False: there was no room, in the front or in a checkpoint: the promise is not on record.
  bool append_verdict(const VerdictRecord& record);
  // An answered incident without an event.
  std::optional<VerdictRecord> find_verdict(const IncidentId& id) const;
  // Whether an incident is done with: published, folded or counted.
  bool has_event(const IncidentId& id) const;

  // Returns the event's seq; 0 if there was no room, and it is only counted.
  std::uint64_t append_event(const EventFields& fields);
  // An incident that a later event of this session counts (EventFields::folded).
  void append_folded(const IncidentId& id);

  // A session as it is now; the last record of it counts.
  void append_session(const SessionFields& fields);
  // Its VMM is gone, and what was open has its events.
  void end_session(const wire::Id128& id);

  // The record of one event, valid until kEvents more have come; null where it is not
  // in memory.
  const wire::EventRecord* event(std::uint64_t seq) const { return events_.event(seq); }

  // What the journal thread says of itself, whenever it has rung.
  void note_health(const JournalHealth& health) {
    if (!front_lost_) journal_ = health;
  }
  // An outage that is over: the next tend() tells it.
  void note_outage(const Outage& outage);

  // Writes what had to wait, if there is room now. To be called when the journal thread
  // has rung, and after a turn in which something was appended. True: an event was
  // appended.
  bool tend(std::uint64_t now_us);

  // Whether there is something new for the journal thread since this was last asked.
  bool take_appended() { return std::exchange(appended_, false); }

  StoreStatus status() const;
  const LiveState& state() const { return state_; }

 private:
  struct Hang {
    std::uint64_t since_us = 0;
    std::uint64_t durable_seq = 0;  // stays, as long as it lasts
  };

  bool append(RecordType type, std::uint64_t seq, const wire::Id128* session,
              std::span<const std::byte> payload);
  bool has_room(const wire::Id128* session, const Record& record);
  bool roll();
  void roll_in_time();
  bool keeps_room_to_roll(std::size_t size);
  bool refuse_for_crowd();
  void see_whether_crowd_is_over();
  std::uint64_t write_event(const EventFields& fields);
  bool write_session(const SessionFields& fields);
  bool write_folded(const IncidentId& id);
  void write_waiting_sessions(wire::SessionState state);
  bool write_counted(const wire::Id128& id, Overflow::Counted& counted, std::uint64_t now_us);
  void tell_outage(std::uint64_t now_us);
  void load_events();

  std::string id_;
  Front* front_ = nullptr;
  std::optional<JournalHealth> journal_;  // none: there is no journal
  wire::Id128 boot_;
  LiveState state_;
  EventRing events_;
  flatbuffers::FlatBufferBuilder builder_{1024};
  FrontShare shares_;
  Overflow overflow_;
  std::map<wire::Id128, OwnedSession, Id128Order> waiting_sessions_;
  std::optional<Outage> outage_;  // not told yet
  // Positions in a front that is alone: where its last checkpoint begins and ends.
  std::uint64_t last_checkpoint_ = 0;
  std::uint64_t behind_checkpoint_ = 0;
  bool appended_ = false;
  std::optional<Hang> hang_;
  bool front_lost_ = false;
  bool crowded_ = false;
  std::uint64_t unrecorded_ = 0;
};

// "memory-" and 64 random bits: two stores are never taken for one another.
std::string make_memory_journal_id();

}  // namespace memfail::journal
