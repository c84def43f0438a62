// SPDX-License-Identifier: BSD-3-Clause
//
// Pages that went bad when the guest could not be told of them: it is told when it
// can be, at the next occasion. There is no polling: an occasion is the end of a pass
// over a vCPU's reports, the VM's going on, or the sidecar's word.
#pragma once

#include "vmm_shim/state.h"

namespace memfail::shim {

// On the vCPU's thread, its own reports handled: tells the guest of one such page, if
// this vCPU can take it now. A mask of MEMFAIL_*.
int tell_remembered(memfail_lane& lane);

// Enters the pages that a signal handler met into the list. Dispatching thread.
void note_met_outside(memfail_shim& shim);

// Has a vCPU's thread tell one. Dispatching thread.
void post_remembered(memfail_shim& shim);

}  // namespace memfail::shim
