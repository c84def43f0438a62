// SPDX-License-Identifier: BSD-3-Clause
//
// What the sidecar knows of one cell: copies of its lines, each taken once.
#pragma once

#include <cstdint>
#include <memory>

#include "schema/incident_layout.h"
#include "shm/geometry.h"
#include "sidecar/decision/types.h"
#include "sidecar/session/region_history.h"

namespace memfail::session {

enum class CellPhase : std::uint8_t {
  kFree,      // nothing committed yet
  kReported,  // a report is here; verdict pending
  kAnswered,  // the verdict is recorded and replied; outcome pending
};

struct Incident {
  shm::CellId id;
  std::uint64_t retired = 0;  // last sequence of this cell that is done with
  std::uint64_t sequence = 0;
  CellPhase phase = CellPhase::kFree;
  bool has_snapshot = false;
  bool in_table = false;  // the poison table has its report
  bool evented = false;   // on record with its event: only to be retired
  decision::Severity severity = decision::Severity::kNone;
  wire::ReportLine report;
  wire::SnapshotLine snapshot;
  wire::ReplyLine reply;
  std::shared_ptr<const RegionSet> regions;  // of the report's generation
  decision::Classification where;

  void begin_next();  // frees the cell after its incident is done with
};

inline void Incident::begin_next() {
  retired = sequence;
  phase = CellPhase::kFree;
  has_snapshot = false;
  in_table = false;
  evented = false;
  snapshot = {};
  reply = {};
  regions.reset();
  where = {};
}

}  // namespace memfail::session
