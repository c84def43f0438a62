// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "schema/journal_generated.h"
#include "sidecar/journal/incident_id.h"

namespace memfail::journal {

// How an incident was answered, with what an event needs if no outcome comes.
struct VerdictRecord {
  IncidentId id;
  wire::ReplyLine reply;  // as answered; word and crc mean nothing here
  wire::ReportLine report{};
  std::uint64_t hva = wire::kNoAddress;
  std::uint64_t gpa = wire::kNoAddress;
  std::uint64_t size = 0;
  std::int32_t vcpu = -1;
  std::uint64_t realtime_us = 0;
  bool mcip = false;  // MCG_STATUS.MCIP was set when it was decided
};

inline wire::VerdictRecord to_wire(const VerdictRecord& record) {
  return {record.id.session,
          record.id.sequence,
          record.id.lane,
          record.vcpu,
          record.report,
          record.reply,
          record.hva,
          record.gpa,
          record.size,
          record.realtime_us,
          static_cast<std::uint8_t>(record.mcip ? 1 : 0)};
}

inline VerdictRecord from_wire(const wire::VerdictRecord& record) {
  return {{record.session(), record.lane(), record.sequence()},
          record.reply(),
          record.report(),
          record.hva(),
          record.gpa(),
          record.size(),
          record.vcpu(),
          record.realtime_us(),
          record.mcip() != 0};
}

}  // namespace memfail::journal
