// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/record_store.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "sidecar/journal/random_id.h"

namespace memfail::journal {
namespace {

std::span<const std::byte> bytes_in(const flatbuffers::FlatBufferBuilder& builder) {
  return std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
}

template <typename Struct>
std::span<const std::byte> bytes_of(const Struct& value) {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace

RecordStore::RecordStore(std::string id) : id_(std::move(id)), events_(1) {}

RecordStore::RecordStore(StoreParts parts)
    : id_(std::move(parts.id)),
      front_(parts.front),
      journal_(parts.journal),
      boot_(parts.boot),
      state_(std::move(parts.state)),
      events_(state_.next_seq()) {
  for (const auto& [id, unused] : state_.sessions()) shares_.admit(id);
  if (front_ != nullptr) load_events();
}

// Readers are given on what a killed process had published, and where a front that is
// alone has its last checkpoint.
void RecordStore::load_events() {
  std::uint64_t at = front_->tail();
  for (FrontItem item = front_->read(at); item.state == FrontRead::kRecord;
       item = front_->read(at)) {
    if (item.record.type == RecordType::kCheckpoint) {
      last_checkpoint_ = at;
      behind_checkpoint_ = item.next;
    }
    if (item.record.type == RecordType::kEvent && item.record.seq < next_seq()) {
      events_.put(item.record.seq, item.record.payload);
    }
    at = item.next;
  }
  appended_ = front_->used() != 0;
}

// ---- what can be read ---------------------------------------------------------------

std::uint64_t RecordStore::first_seq() const {
  if (!journal_) return events_.first_seq();
  return std::min(journal_->first_seq, events_.first_seq());
}

bool RecordStore::durable(std::uint64_t seq) const {
  return journal_ && seq <= journal_->durable_seq;
}

std::uint64_t RecordStore::next_readable() const {
  if (!journal_ || hang_ || journal_->degraded_since_us != 0) return next_seq();
  return std::min(journal_->durable_seq + 1, next_seq());
}

std::optional<VerdictRecord> RecordStore::find_verdict(const IncidentId& id) const {
  const wire::VerdictRecord* found = state_.find_verdict(id);
  if (found == nullptr || overflow_.covers(id)) return std::nullopt;
  return from_wire(*found);
}

bool RecordStore::has_event(const IncidentId& id) const {
  return state_.has_event(id) || overflow_.covers(id);
}

StoreStatus RecordStore::status() const {
  StoreStatus out;
  out.counted_only = overflow_.total();
  if (front_ != nullptr) {
    out.front_used = front_->used();
    out.front_capacity = front_->capacity();
  }
  if (front_ != nullptr || journal_) {
    out.checkpoint_size = state_.room().used();
    out.checkpoint_limit = state_.room().limit();
  }
  out.hung = hung();
  out.front_lost = front_lost_;
  out.crowded = crowded_;
  out.unrecorded = unrecorded_;
  if (journal_.has_value()) {
    out.since_us = journal_->degraded_since_us;
    out.error = journal_->error;
    out.busy_since_ns = journal_->busy_since_ns;
    out.at_risk = next_seq() - 1 - std::min(journal_->durable_seq, next_seq() - 1);
  }
  out.degraded = out.since_us != 0 || hang_ || front_lost_ || crowded_ || !overflow_.empty() ||
                 !waiting_sessions_.empty();
  return out;
}

void RecordStore::lose_front() {
  front_ = nullptr;
  journal_.reset();
  front_lost_ = true;
}

// ---- appending ------------------------------------------------------------------------

bool RecordStore::append(RecordType type, std::uint64_t seq, const wire::Id128* session,
                         std::span<const std::byte> payload) {
  const Record record{type, state_.next_number(), seq, payload};
  if (front_ != nullptr && !has_room(session, record)) return false;
  // Of our own making, so it is new and fits.
  if (state_.apply(record) != Applied::kNew) state_.skip_to(record.number + 1);
  appended_ = true;
  return true;
}

bool RecordStore::has_room(const wire::Id128* session, const Record& record) {
  const std::size_t size = frame_size(record.payload.size());
  if (!journal_) {
    if (record.type != RecordType::kVerdict) roll_in_time();
    if (!keeps_room_to_roll(size)) return false;
    return front_->append(record) || (roll() && front_->append(record));
  }
  if (session == nullptr) return front_->append(record);
  if (!shares_.take(*session, size, *front_)) return false;
  if (front_->append(record)) return true;
  shares_.give_back(*session, size);
  return false;
}

// A front that is alone goes on from a checkpoint: what stands before the one before
// this one makes room.
bool RecordStore::roll() {
  const std::vector<std::byte> payload =
      state_.checkpoint({front_->journal(), boot_, 0, events_.first_seq()});
  const Record checkpoint{RecordType::kCheckpoint, 0, 0, payload};
  const std::uint64_t before = last_checkpoint_;
  const std::uint64_t at = front_->head();
  if (!front_->append(checkpoint)) {
    front_->release(before);
    if (!front_->append(checkpoint)) return false;
  }
  last_checkpoint_ = at;
  behind_checkpoint_ = front_->head();
  front_->release(before);
  return true;
}

// A verdict is not to wait for a checkpoint. A large one is not written for every record.
void RecordStore::roll_in_time() {
  const std::size_t records = front_->head() - behind_checkpoint_;
  if (front_->head() - last_checkpoint_ > front_->capacity() / 4 &&
      records > front_->capacity() / 8) {
    (void)roll();
  }
}

// A checkpoint of a quarter, and as much again where it would go over the ring's end: the
// last one and what follows it never take more than the other half.
bool RecordStore::keeps_room_to_roll(std::size_t size) {
  const std::size_t half = front_->capacity() / 2;
  return front_->head() - last_checkpoint_ + size <= half || roll();
}

// What would make the state larger than a checkpoint may be.
bool RecordStore::refuse_for_crowd() {
  crowded_ = true;
  return false;
}

// Not at the first that goes: the log would have a line for every other incident.
void RecordStore::see_whether_crowd_is_over() {
  const CheckpointRoom& room = state_.room();
  if (room.has(CheckpointRoom::For::kVerdict, room.limit() / 16)) crowded_ = false;
}

bool RecordStore::append_verdict(const VerdictRecord& record) {
  if (record.id.lane >= LiveState::kMaxLane) return false;
  if (!state_.has_room_for_verdict()) {
    ++unrecorded_;
    return refuse_for_crowd();
  }
  const wire::VerdictRecord verdict = to_wire(record);
  return append(RecordType::kVerdict, 0, &record.id.session, bytes_of(verdict));
}

std::uint64_t RecordStore::append_event(const EventFields& fields) {
  const std::uint64_t seq = write_event(fields);
  if (seq == 0) overflow_.count(fields);
  return seq;
}

// 0: there was no room.
std::uint64_t RecordStore::write_event(const EventFields& fields) {
  if (fields.lane >= LiveState::kMaxLane) return 0;
  const std::uint64_t seq = next_seq();
  builder_.Clear();
  encode(builder_, fields, seq);
  if (!append(RecordType::kEvent, seq, &fields.session, bytes_in(builder_))) return 0;
  events_.put(seq, bytes_in(builder_));
  return seq;
}

void RecordStore::append_folded(const IncidentId& id) {
  if (!write_folded(id)) overflow_.count(id, 1);
}

bool RecordStore::write_folded(const IncidentId& id) {
  const wire::FoldedRecord folded(id.session, id.sequence, id.lane, 0);
  return append(RecordType::kFolded, 0, &id.session, bytes_of(folded));
}

// ---- sessions ---------------------------------------------------------------------------

bool RecordStore::write_session(const SessionFields& fields) {
  const bool ends = fields.state == wire::SessionState::ended;
  if (!ends && !state_.has_room_for(fields)) return refuse_for_crowd();
  builder_.Clear();
  encode(builder_, fields);
  return append(RecordType::kSession, 0, nullptr, bytes_in(builder_));
}

// An attach does not wait for a disk: its record does.
void RecordStore::append_session(const SessionFields& fields) {
  shares_.admit(fields.session);
  if (write_session(fields)) {
    waiting_sessions_.erase(fields.session);
  } else {
    waiting_sessions_[fields.session] = owned(fields);
  }
}

void RecordStore::end_session(const wire::Id128& id) {
  const auto known = state_.sessions().find(id);
  OwnedSession record;
  if (known != state_.sessions().end() && known->second.record) record = *known->second.record;
  record.session = id;
  record.state = wire::SessionState::ended;
  waiting_sessions_[id] = record;
  write_waiting_sessions(wire::SessionState::ended);
  shares_.forget(id);
}

// An end comes behind all that is still to be counted of that session.
void RecordStore::write_waiting_sessions(wire::SessionState state) {
  for (auto next = waiting_sessions_.begin(); next != waiting_sessions_.end();) {
    const auto waiting = next++;
    if (waiting->second.state != state) continue;
    if (state == wire::SessionState::ended && overflow_.has(waiting->first)) continue;
    if (!write_session(view_of(waiting->second))) return;
    waiting_sessions_.erase(waiting);
  }
}

// ---- what had to wait ----------------------------------------------------------------------

bool RecordStore::tend(std::uint64_t now_us) {
  const std::uint64_t before = next_seq();
  if (crowded_) see_whether_crowd_is_over();
  if (front_ != nullptr && !journal_) roll_in_time();
  write_waiting_sessions(wire::SessionState::attached);
  auto& sessions = overflow_.sessions();
  for (auto next = sessions.begin(); next != sessions.end();) {
    const auto session = next++;
    if (write_counted(session->first, session->second, now_us)) sessions.erase(session);
  }
  write_waiting_sessions(wire::SessionState::ended);
  tell_outage(now_us);
  return next_seq() != before;
}

// First the incidents, so that none is published again, then the event that counts
// them. What finds no room stays here.
bool RecordStore::write_counted(const wire::Id128& id, Overflow::Counted& counted,
                                std::uint64_t now_us) {
  while (!counted.incidents.empty()) {
    const auto first = counted.incidents.begin();
    if (!write_folded({id, first->first.first, first->second})) return false;
    counted.incidents.erase(first);
    ++counted.folded;
  }
  return write_event(overflow_event(id, counted, now_us)) != 0;
}

void RecordStore::note_outage(const Outage& outage) {
  if (!outage_) {
    outage_ = outage;
  } else {
    outage_->events += outage.events;
  }
}

void RecordStore::note_hung(std::uint64_t since_us) {
  if (!hang_ && journal_) hang_ = Hang{since_us, journal_->durable_seq};
}

void RecordStore::note_hung_over(std::uint64_t now_us) {
  const auto hang = std::exchange(hang_, std::nullopt);
  // One that ended in an error goes on as such, and its own end counts these too.
  if (!hang || !journal_ || journal_->degraded_since_us != 0) return;
  note_outage({hang->since_us, now_us, 0, next_seq() - 1 - hang->durable_seq});
}

void RecordStore::tell_outage(std::uint64_t now_us) {
  if (!outage_) return;
  EventFields fields;
  fields.realtime_us = now_us;
  fields.since_us = outage_->since_us;
  fields.reason = wire::Reason::records_at_risk;
  fields.count =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(outage_->events, ~std::uint32_t{0}));
  if (write_event(fields) != 0) outage_.reset();
}

std::string make_memory_journal_id() {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "memory-%016llx",
                static_cast<unsigned long long>(random_word()));
  return text.data();
}

}  // namespace memfail::journal
