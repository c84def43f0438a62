// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/live_state.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "schema/event_generated.h"

namespace memfail::journal {
namespace {

using For = CheckpointRoom::For;

constexpr std::uint32_t kSlotLanes = 16;  // the process lane's, behind those of the vCPUs

template <typename Table>
const Table* verified(std::span<const std::byte> payload) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(payload.data());
  flatbuffers::Verifier verifier(bytes, payload.size());
  return verifier.VerifyBuffer<Table>(nullptr) ? flatbuffers::GetRoot<Table>(bytes) : nullptr;
}

template <typename Struct>
std::optional<Struct> copied(std::span<const std::byte> payload) {
  Struct out;
  if (payload.size() != sizeof out) return std::nullopt;
  std::memcpy(static_cast<void*>(&out), payload.data(), sizeof out);
  return out;
}

template <typename Text>
std::size_t texts_of(const BasicSession<Text>& session) {
  return session.label.size() + session.vm_uuid.size() + session.vm_name.size();
}

bool has_marks(const LiveState::Lane& lane) {
  return std::ranges::any_of(lane.evented, [](std::uint64_t n) { return n != 0; });
}

std::size_t place_of(std::uint64_t sequence) { return (sequence - 1) % LiveState::kPlaces; }

const wire::Checkpoint* checkpoint_in(std::span<const std::byte> payload) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(payload.data());
  flatbuffers::Verifier verifier(bytes, payload.size());
  return wire::VerifyCheckpointBuffer(verifier) ? wire::GetCheckpoint(bytes) : nullptr;
}

}  // namespace

// ---- one record after the other ---------------------------------------------------

Applied LiveState::apply(const Record& record) {
  if (record.number == 0 || record.number < next_number_) return Applied::kKnown;
  if (record.number > next_number_) return Applied::kGap;
  if (!apply_payload(record)) return Applied::kInvalid;
  ++next_number_;
  return Applied::kNew;
}

bool LiveState::apply_payload(const Record& record) {
  switch (record.type) {
    case RecordType::kVerdict: {
      const auto verdict = copied<wire::VerdictRecord>(record.payload);
      return verdict && apply_verdict(*verdict);
    }
    case RecordType::kFolded: {
      const auto folded = copied<wire::FoldedRecord>(record.payload);
      return folded && apply_folded(*folded);
    }
    case RecordType::kEvent:
      return apply_event(record);
    case RecordType::kSession:
      return apply_session(record.payload);
    default:
      return false;  // the others have no number
  }
}

bool LiveState::apply_verdict(const wire::VerdictRecord& verdict) {
  if (verdict.sequence() == 0 || verdict.lane() >= kMaxLane) return false;
  Session* session = with_lane(verdict.session(), verdict.lane());
  if (session == nullptr) return true;
  Lane& lane = session->lanes[verdict.lane()];
  const std::size_t place = place_of(verdict.sequence());
  if (lane.evented[place] >= verdict.sequence()) return true;  // told already
  std::uint32_t& open = lane.open[place];
  if (open != VerdictPool::kNone) close_verdict(*session, open);
  if (!room_.has(For::kVerdict, CheckpointRoom::kVerdictSize)) return true;
  room_.take(CheckpointRoom::kVerdictSize);
  ++session->open;
  open = verdicts_.put(verdict);
  return true;
}

void LiveState::close_verdict(Session& session, std::uint32_t& open) {
  verdicts_.take(std::exchange(open, VerdictPool::kNone));
  room_.give_back(CheckpointRoom::kVerdictSize);
  --session.open;
}

bool LiveState::apply_event(const Record& record) {
  const auto* event = verified<wire::EventRecord>(record.payload);
  if (event == nullptr || event->seq() != record.seq || record.seq < next_seq_) return false;
  if (event->session() != nullptr) {
    const wire::Id128 id = *event->session();
    if (event->sequence() != 0 && !mark(id, event->lane(), event->sequence())) return false;
    if (const auto session = sessions_.find(id); session != sessions_.end()) {
      take_counts(session->second, *event);
    }
    forget_if_over(id);
  }
  next_seq_ = record.seq + 1;
  return true;
}

void LiveState::take_counts(Session& session, const wire::EventRecord& event) {
  session.folded -= std::min<std::uint64_t>(session.folded, event.folded());
  if (event.sequence() != 0) return;
  if (event.reason() == wire::Reason::lane_full) session.lost_reports += event.count();
  if (event.reason() == wire::Reason::backing_store) session.backing_store += event.count();
}

bool LiveState::apply_folded(const wire::FoldedRecord& folded) {
  if (folded.sequence() == 0 || !mark(folded.session(), folded.lane(), folded.sequence())) {
    return false;
  }
  const auto session = sessions_.find(folded.session());
  if (session != sessions_.end()) ++session->second.folded;
  return true;
}

bool LiveState::apply_session(std::span<const std::byte> payload) {
  const auto* record = verified<wire::SessionRecord>(payload);
  if (record == nullptr || record->session() == nullptr ||
      record->vcpus() > kMaxLane - kSlotLanes) {
    return false;
  }
  OwnedSession session = own(*record);
  const wire::Id128 id = session.session;
  const bool ends = session.state == wire::SessionState::ended;
  if (ends && !sessions_.contains(id)) return true;
  // An end is taken whatever it costs: with it goes all that is over.
  if (!ends && !has_room_for(view_of(session))) return true;
  if (!sessions_.contains(id)) room_.take(CheckpointRoom::kSessionSize);
  set_record(sessions_[id], std::move(session));
  forget_if_over(id);
  return true;
}

void LiveState::set_record(Session& session, OwnedSession record) {
  room_.give_back(session.texts);
  session.texts = texts_of(record);
  room_.take(session.texts);
  const std::size_t lanes = record.vcpus + kSlotLanes;
  if (session.lanes.size() < lanes) session.lanes.resize(lanes);
  session.record = std::move(record);
}

void LiveState::skip_to(std::uint64_t number) { next_number_ = std::max(next_number_, number); }

// The incident is done with, and with it what was promised for it.
bool LiveState::mark(const wire::Id128& id, std::uint32_t lane, std::uint64_t sequence) {
  if (lane >= kMaxLane) return false;
  Session* session = with_lane(id, lane);
  if (session == nullptr) return true;
  Lane& found = session->lanes[lane];
  const std::size_t place = place_of(sequence);
  set_mark(*session, found, place, sequence);
  std::uint32_t& open = found.open[place];
  if (open != VerdictPool::kNone && verdicts_.at(open).sequence() <= sequence) {
    close_verdict(*session, open);
  }
  return true;
}

void LiveState::set_mark(Session& session, Lane& lane, std::size_t place, std::uint64_t sequence) {
  if (!has_marks(lane)) {
    if (!room_.has(For::kMark, CheckpointRoom::kMarkSize)) return;
    room_.take(CheckpointRoom::kMarkSize);
    ++session.marks;
  }
  lane.evented[place] = std::max(lane.evented[place], sequence);
}

// The session, known from here on, with room for this lane; null: it finds no room.
LiveState::Session* LiveState::with_lane(const wire::Id128& id, std::uint32_t lane) {
  auto found = sessions_.find(id);
  if (found == sessions_.end()) {
    // Without a record it is known only as long as this process lives: of the least use.
    if (!room_.has(For::kVerdict, CheckpointRoom::kSessionSize)) return nullptr;
    room_.take(CheckpointRoom::kSessionSize);
    found = sessions_.try_emplace(id).first;
  }
  Session& session = found->second;
  if (session.lanes.size() <= lane) session.lanes.resize(lane + std::size_t{1});
  return &session;
}

// An ended session stays for as long as an incident of it has no event.
void LiveState::forget_if_over(const wire::Id128& session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || !found->second.record) return;
  const Session& over = found->second;
  const bool ended = over.record->state == wire::SessionState::ended;
  if (!ended || over.open != 0 || over.folded != 0) return;
  room_.give_back(CheckpointRoom::kSessionSize + over.texts +
                  over.marks * CheckpointRoom::kMarkSize);
  sessions_.erase(found);
}

// ---- questions -----------------------------------------------------------------------

bool LiveState::has_room_for_verdict() const {
  return room_.has(For::kVerdict, CheckpointRoom::kSessionSize + CheckpointRoom::kVerdictSize);
}

bool LiveState::has_room_for(const SessionFields& session) const {
  const auto known = sessions_.find(session.session);
  const std::size_t texts = texts_of(session);
  if (known == sessions_.end()) {
    return room_.has(For::kSession, CheckpointRoom::kSessionSize + texts);
  }
  const std::size_t had = known->second.texts;
  return texts <= had || room_.has(For::kSession, texts - had);
}

const LiveState::Lane* LiveState::find_lane(const IncidentId& id) const {
  const auto session = sessions_.find(id.session);
  if (session == sessions_.end() || id.lane >= session->second.lanes.size()) return nullptr;
  return &session->second.lanes[id.lane];
}

bool LiveState::has_event(const IncidentId& id) const {
  const Lane* lane = find_lane(id);
  return lane != nullptr && id.sequence != 0 && lane->evented[place_of(id.sequence)] >= id.sequence;
}

const wire::VerdictRecord* LiveState::find_verdict(const IncidentId& id) const {
  const Lane* lane = find_lane(id);
  if (lane == nullptr || id.sequence == 0) return nullptr;
  const std::uint32_t slot = lane->open[place_of(id.sequence)];
  if (slot == VerdictPool::kNone || verdicts_.at(slot).sequence() != id.sequence) return nullptr;
  return &verdicts_.at(slot);
}

std::vector<wire::VerdictRecord> LiveState::open_of(const wire::Id128& session) const {
  std::vector<wire::VerdictRecord> out;
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return out;
  for (const Lane& lane : found->second.lanes) {
    const std::size_t first = out.size();
    for (const std::uint32_t slot : lane.open) {
      if (slot != VerdictPool::kNone) out.push_back(verdicts_.at(slot));
    }
    std::sort(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(),
              [](const auto& a, const auto& b) { return a.sequence() < b.sequence(); });
  }
  return out;
}

// ---- checkpoints ---------------------------------------------------------------------

namespace {

std::vector<wire::LaneMark> marks_of(const LiveState::Session& session) {
  std::vector<wire::LaneMark> out;
  for (std::uint32_t lane = 0; lane < session.lanes.size(); ++lane) {
    const auto& evented = session.lanes[lane].evented;
    if (!has_marks(session.lanes[lane])) continue;
    out.emplace_back(lane, 0, flatbuffers::span<const std::uint64_t, 4>(evented));
  }
  return out;
}

}  // namespace

std::vector<std::byte> LiveState::checkpoint(const CheckpointLabel& label) const {
  flatbuffers::FlatBufferBuilder builder(16 * 1024);
  std::vector<flatbuffers::Offset<wire::LiveSession>> sessions;
  sessions.reserve(sessions_.size());
  for (const auto& [id, session] : sessions_) {
    flatbuffers::Offset<wire::SessionRecord> record;
    if (session.record) record = build(builder, view_of(*session.record));
    const auto marks = builder.CreateVectorOfStructs(marks_of(session));
    const auto open = builder.CreateVectorOfStructs(open_of(id));
    sessions.push_back(wire::CreateLiveSession(builder, record, &id, marks, open, session.folded,
                                               session.lost_reports, session.backing_store));
  }
  const auto all = builder.CreateVector(sessions);
  wire::FinishCheckpointBuffer(
      builder, wire::CreateCheckpoint(builder, &label.journal, &label.boot, label.generation,
                                      label.first_seq, next_seq_, next_number_, all));
  const auto bytes = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
  return {bytes.begin(), bytes.end()};
}

std::optional<CheckpointLabel> checkpoint_label(std::span<const std::byte> payload) {
  const wire::Checkpoint* from = checkpoint_in(payload);
  if (from == nullptr || from->journal() == nullptr || from->boot() == nullptr) {
    return std::nullopt;
  }
  return CheckpointLabel{*from->journal(), *from->boot(), from->generation(), from->first_seq()};
}

std::optional<LiveState> LiveState::from_checkpoint(std::span<const std::byte> payload) {
  const wire::Checkpoint* from = checkpoint_in(payload);
  if (from == nullptr || from->next_seq() == 0 || from->next_number() == 0) return std::nullopt;
  LiveState out;
  out.next_seq_ = from->next_seq();
  out.next_number_ = from->next_number();
  if (from->sessions() == nullptr) return out;
  for (const wire::LiveSession* session : *from->sessions()) {
    if (!out.restore(*session)) return std::nullopt;
  }
  return out;
}

bool LiveState::restore(const wire::LiveSession& from) {
  if (from.session() == nullptr || sessions_.contains(*from.session())) return false;
  const wire::Id128 id = *from.session();
  room_.take(CheckpointRoom::kSessionSize);
  Session& session = sessions_[id];
  if (const wire::SessionRecord* record = from.record()) {
    if (record->vcpus() > kMaxLane - kSlotLanes) return false;
    set_record(session, own(*record));
  }
  session.folded = from.folded();
  session.lost_reports = from.lost_reports();
  session.backing_store = from.backing_store();
  for (unsigned i = 0; from.marks() != nullptr && i < from.marks()->size(); ++i) {
    if (!restore_mark(id, *from.marks()->Get(i))) return false;
  }
  for (unsigned i = 0; from.open() != nullptr && i < from.open()->size(); ++i) {
    if (!apply_verdict(*from.open()->Get(i))) return false;
  }
  return true;
}

bool LiveState::restore_mark(const wire::Id128& id, const wire::LaneMark& mark) {
  if (mark.lane() >= kMaxLane) return false;
  Session& session = *with_lane(id, mark.lane());  // known, so there
  for (std::uint32_t place = 0; place < kPlaces; ++place) {
    const std::uint64_t sequence = mark.evented()->Get(place);
    if (sequence != 0) set_mark(session, session.lanes[mark.lane()], place, sequence);
  }
  return true;
}

}  // namespace memfail::journal
