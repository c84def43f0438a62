// SPDX-License-Identifier: BSD-3-Clause
//
// One event in the form its maker has it; encode() turns it into the record
// (schema/event.fbs) that is kept, replayed and published.
#pragma once

#include <cstdint>
#include <string_view>

#include "flatbuffers/flatbuffers.h"
#include "schema/event_generated.h"
#include "schema/incident_layout.h"

namespace memfail::journal {

struct EventFields {
  wire::Id128 session;
  std::uint32_t lane = 0;
  std::uint64_t sequence = 0;     // of the incident in its lane; 0: no one incident
  std::uint64_t realtime_us = 0;  // CLOCK_REALTIME
  std::string_view vm_uuid;
  std::string_view vm_name;
  wire::Recipient recipient = wire::Recipient::hypervisor;
  wire::Action action = wire::Action::ignore;
  bool action_required = false;
  bool recursive = false;
  wire::ReportKind kind = wire::ReportKind::none;
  wire::ThreadKind thread = wire::ThreadKind::none;
  std::int32_t si_code = 0;
  std::uint8_t lsb = 0;
  bool drill = false;
  std::int32_t vcpu = -1;
  std::int32_t reason_vcpu = -1;  // a sibling's, where its rule ended in a reset
  std::uint64_t hva = wire::kNoAddress;
  std::uint64_t gpa = wire::kNoAddress;
  std::string_view region;
  std::uint64_t size = 0;
  wire::Verdict verdict = wire::Verdict::none;
  wire::DecidedBy decided_by = wire::DecidedBy::none;
  wire::Delivered delivered = wire::Delivered::none;
  wire::Reason reason = wire::Reason::none;
  bool late = false;
  std::int32_t bank = -1;
  std::uint64_t status = 0;
  std::uint64_t mcg_status = 0;
  std::uint32_t siblings_told = 0;
  std::uint32_t siblings_skipped = 0;
  std::uint64_t latency_ns = 0;
  std::uint32_t count = 1;
  std::uint32_t folded = 0;    // of count: incidents recorded as folded into this event
  std::uint64_t since_us = 0;  // when the first of what is counted was; 0: not said
  wire::Repair repair = wire::Repair::none;
  std::uint64_t policy_digest = 0;
};

// Writes the finished record into `builder`, which must be empty.
void encode(flatbuffers::FlatBufferBuilder& builder, const EventFields& fields, std::uint64_t seq);

}  // namespace memfail::journal
