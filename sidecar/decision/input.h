// SPDX-License-Identifier: BSD-3-Clause
//
// Everything a decision may depend on.
#pragma once

#include "sidecar/decision/types.h"

namespace memfail::decision {

struct Input {
  GuestProfile guest;
  Classification where;
  Severity severity = Severity::kNone;
  wire::ReportKind kind = wire::ReportKind::sigbus;
  wire::ThreadKind thread = wire::ThreadKind::none;
  wire::SnapshotLine snapshot;  // all zero: none was taken, nothing in it is valid
  bool vm_running = true;       // false: paused, incoming or finished
};

}  // namespace memfail::decision
