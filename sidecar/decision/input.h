// SPDX-License-Identifier: BSD-3-Clause
//
// Everything a decision may depend on.
#pragma once

#include "sidecar/decision/types.h"

namespace memfail::decision {

// What is known of the page besides this report: from the poison table.
struct History {
  bool known = false;         // poisoned before this report
  bool guest_told = false;    // by a record that was delivered
  std::uint32_t repeats = 0;  // action-required reports of it within the policy's time,
                              // this one included, those that were tried again not; of
                              // several vCPUs only those that met it before
};

struct Input {
  GuestProfile guest;
  Classification where;
  Severity severity = Severity::kNone;
  wire::ReportKind kind = wire::ReportKind::sigbus;
  wire::ThreadKind thread = wire::ThreadKind::none;
  wire::SnapshotLine snapshot;  // all zero: none was taken, nothing in it is valid
  bool vm_running = true;  // false: paused, incoming or finished
  History history;
};

}  // namespace memfail::decision
