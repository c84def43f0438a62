// SPDX-License-Identifier: BSD-3-Clause
//
// Records as the sidecar would write them.
#pragma once

#include <string>
#include <vector>

#include "sidecar/journal/event_fields.h"
#include "sidecar/journal/live_state.h"

namespace memfail::journal::testing {

// A record with its payload.
struct MadeRecord {
  RecordType type = RecordType::kNone;
  std::uint64_t number = 0;
  std::uint64_t seq = 0;
  std::vector<std::byte> payload;

  Record record() const { return {type, number, seq, payload}; }
};

inline wire::Id128 session_id(std::uint64_t n) { return {n, n ^ 0xABCD}; }

template <typename Struct>
std::vector<std::byte> bytes_of(const Struct& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  return {bytes.begin(), bytes.end()};
}

inline std::vector<std::byte> bytes_of(const flatbuffers::FlatBufferBuilder& builder) {
  const auto bytes = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
  return {bytes.begin(), bytes.end()};
}

inline wire::VerdictRecord verdict_of(const IncidentId& id, std::uint64_t status = 0) {
  wire::ReplyLine reply;
  reply = wire::ReplyLine(0, 0, wire::Verdict::inject, wire::Reason::guest_memory,
                          wire::SiblingRule::none, 9, 0, wire::Verdict::ignore, 0x8C, 7, status,
                          0x3000, 0x3000, 0, 0);
  return {id.session, id.sequence, id.lane, 0, wire::ReportLine(), reply, 0x7000,
          0x3000,     4096,        1,       0};
}

inline MadeRecord verdict(std::uint64_t number, const IncidentId& id, std::uint64_t status = 0) {
  return {RecordType::kVerdict, number, 0, bytes_of(verdict_of(id, status))};
}

inline MadeRecord folded(std::uint64_t number, const IncidentId& id) {
  return {RecordType::kFolded, number, 0,
          bytes_of(wire::FoldedRecord(id.session, id.sequence, id.lane, 0))};
}

inline EventFields event_fields(const IncidentId& id) {
  EventFields fields;
  fields.session = id.session;
  fields.lane = id.lane;
  fields.sequence = id.sequence;
  fields.vm_name = "db1";
  return fields;
}

inline MadeRecord event(std::uint64_t number, std::uint64_t seq, const EventFields& fields) {
  flatbuffers::FlatBufferBuilder builder;
  encode(builder, fields, seq);
  return {RecordType::kEvent, number, seq, bytes_of(builder)};
}

inline MadeRecord event(std::uint64_t number, std::uint64_t seq, const IncidentId& id) {
  return event(number, seq, event_fields(id));
}

inline SessionFields session_fields(const wire::Id128& id) {
  SessionFields fields;
  fields.session = id;
  fields.uid = 107;
  fields.label = "unconfined";
  fields.resume_key = wire::Id128(id.low() + 1, 5);
  fields.vm_uuid = "6f9b5d8e-0000-0000-0000-000000000001";
  fields.vm_name = "db1";
  fields.vcpus = 4;
  fields.boot = wire::Id128(0x3333, 0x4444);
  fields.vmm_pid = 4711;
  fields.vmm_start_time = 99;
  return fields;
}

inline MadeRecord session(std::uint64_t number, const SessionFields& fields) {
  flatbuffers::FlatBufferBuilder builder;
  encode(builder, fields);
  return {RecordType::kSession, number, 0, bytes_of(builder)};
}

inline MadeRecord session_end(std::uint64_t number, const wire::Id128& id) {
  SessionFields fields = session_fields(id);
  fields.state = wire::SessionState::ended;
  return session(number, fields);
}

// The state as bytes: two states are one where these are.
inline std::vector<std::byte> bytes_of(const LiveState& state) {
  return state.checkpoint({wire::Id128(1, 2), wire::Id128(3, 4), 5, 1});
}

}  // namespace memfail::journal::testing
