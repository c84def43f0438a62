// SPDX-License-Identifier: BSD-3-Clause
//
// QEMU's injection layer, do_inject_x86_mce() of 9.1: what becomes of one record
// on one vCPU. Used for the vCPU that met the page and for its siblings.
#pragma once

#include "sidecar/decision/types.h"

namespace memfail::decision {

struct Judgement {
  wire::Verdict verdict = wire::Verdict::none;
  wire::Reason reason = wire::Reason::none;
};

// "Action required" is read from the record's AR bit, as QEMU does: no AMD
// record has it. A snapshot that lacks what the rules need gives {none,
// no_snapshot}: what follows from that is the caller's rule, QEMU has none.
Judgement qemu_injection(const GuestProfile& guest, const MachineCheck& record,
                         const wire::SnapshotLine& snapshot);

}  // namespace memfail::decision
