// SPDX-License-Identifier: BSD-3-Clause
//
// The four members of QEMU's MEMORY_FAILURE event, from an incident's outcome.
#pragma once

#include "schema/event_generated.h"
#include "sidecar/decision/types.h"

namespace memfail::decision {

struct EventShape {
  wire::Recipient recipient = wire::Recipient::hypervisor;
  wire::Action action = wire::Action::ignore;
  bool action_required = false;  // from si_code, not from the record
  bool recursive = false;
};

// `mcip`: MCG_STATUS.MCIP was set when the error was looked at. What the guest has to
// do with is then recursive, whatever becomes of it.
EventShape event_shape(wire::Verdict verdict, wire::Reason reason, wire::Delivered delivered,
                       Severity severity, bool mcip);

}  // namespace memfail::decision
