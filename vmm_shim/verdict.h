// SPDX-License-Identifier: BSD-3-Clause
//
// Whose verdict counts: the sidecar's if it came and is plausible, else the fallback's.
#pragma once

#include "vmm_shim/state.h"

namespace memfail::shim {

// One incident while it is being handled.
struct Case {
  memfail_lane* lane = nullptr;  // whose vCPU carries it out; null: none can
  shm::Claim claim;
  wire::ReportLine report;
  decision::Severity severity = decision::Severity::kNone;
  decision::Classification where;
  std::uint32_t generation = 0;  // of the regions that `where` was found in
  decision::History history;
  wire::SnapshotLine snapshot;
};

struct Choice {
  decision::Decision decision;
  wire::DecidedBy by = wire::DecidedBy::none;
};

// Asks the sidecar until the deadline, then decides alone.
Choice choose(memfail_shim& shim, const Case& incident, std::uint64_t until_ns);

// Decides without the sidecar, as the VMM's configuration says, and counts.
Choice fall_back(memfail_shim& shim, const Case& incident);

// The linked decision code, as the sidecar would run it.
decision::Decision decide_here(memfail_shim& shim, const Case& incident);

}  // namespace memfail::shim
