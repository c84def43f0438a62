// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/journal/record_maker.h"

#include <string>

#include "sidecar/journal/event_fields.h"
#include "sidecar/journal/session_fields.h"

namespace memfail::journal {
namespace {

constexpr std::uint64_t kSessions = 3;
constexpr std::uint32_t kLanes = 2;

wire::Id128 session_id(std::uint64_t index) { return {index + 1, 77}; }

std::vector<std::byte> bytes_of(flatbuffers::FlatBufferBuilder& builder) {
  const auto* bytes = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {bytes, bytes + builder.GetSize()};
}

std::uint64_t next_incident(const LiveState& state, const wire::Id128& session,
                            std::uint32_t lane) {
  std::uint64_t incident = 1;
  while (state.has_event({session, lane, incident})) ++incident;
  return incident;
}

}  // namespace

std::vector<Record> views(const std::vector<OwnedRecord>& records, std::size_t from,
                          std::size_t count) {
  std::vector<Record> out;
  for (std::size_t i = from; i < records.size() && out.size() < count; ++i) {
    out.push_back(records[i].view());
  }
  return out;
}

OwnedRecord RecordMaker::session(const LiveState& state, bool ended) {
  SessionFields fields;
  fields.session = session_id(random_() % kSessions);
  fields.state = ended ? wire::SessionState::ended : wire::SessionState::attached;
  const std::string name = "vm" + std::to_string(random_() % 1000);
  fields.vm_name = name;
  fields.vcpus = kLanes;
  flatbuffers::FlatBufferBuilder builder;
  encode(builder, fields);
  return {RecordType::kSession, state.next_number(), 0, bytes_of(builder)};
}

OwnedRecord RecordMaker::verdict(const LiveState& state) {
  const wire::Id128 session = session_id(random_() % kSessions);
  const auto lane = static_cast<std::uint32_t>(random_() % kLanes);
  const wire::VerdictRecord verdict(session, next_incident(state, session, lane), lane, 0,
                                    wire::ReportLine(), wire::ReplyLine(), random_(), random_(),
                                    4096, random_(), 0);
  const auto bytes = std::as_bytes(std::span(&verdict, 1));
  return {RecordType::kVerdict, state.next_number(), 0, {bytes.begin(), bytes.end()}};
}

OwnedRecord RecordMaker::event(const LiveState& state) {
  EventFields fields;
  fields.session = session_id(random_() % kSessions);
  fields.lane = static_cast<std::uint32_t>(random_() % kLanes);
  fields.sequence = next_incident(state, fields.session, fields.lane);
  fields.realtime_us = random_();
  const std::string name(random_() % 300, 'n');
  fields.vm_name = name;
  flatbuffers::FlatBufferBuilder builder;
  encode(builder, fields, state.next_seq());
  return {RecordType::kEvent, state.next_number(), state.next_seq(), bytes_of(builder)};
}

OwnedRecord RecordMaker::next(const LiveState& state) {
  const std::uint64_t dice = random_() % 16;
  if (dice == 0) return session(state, true);
  if (dice < 3) return session(state, false);
  return dice < 8 ? verdict(state) : event(state);
}

std::vector<std::byte> picture(const LiveState& state) {
  return state.checkpoint({kJournalId, kBootId, 1, 1});
}

}  // namespace memfail::journal
