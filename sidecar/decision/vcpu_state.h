// SPDX-License-Identifier: BSD-3-Clause
//
// What a snapshot says about one bank of one vCPU, in the terms the rules use.
#pragma once

#include <cstdint>

#include "sidecar/decision/types.h"

namespace memfail::decision {

struct VcpuState {
  bool mcip = false;          // a machine check is being handled
  bool mcg_ctl_off = false;   // MCG_CTL_P is configured and MCG_CTL is not all ones
  bool bank_ctl_off = false;  // MCi_CTL of the bank is not all ones
  bool cr4_mce = false;
  bool lmce = false;        // LMCE is enabled; not valid counts as not enabled
  bool started = false;     // mp_state is past INIT
  bool in_smm = false;
  bool mc_queued = false;   // a #MC waits for the next entry
  bool double_fault = false;  // a #DF does: one more exception on top is a triple fault
  bool triple_fault = false;  // a shutdown does
};

VcpuState vcpu_state(const GuestProfile& guest, const wire::SnapshotLine& snapshot,
                     std::uint8_t bank);

// The vCPU runs a nested guest: CR4 and SMM are that one's.
bool in_nested_guest(const wire::SnapshotLine& snapshot);

// Whether the snapshot has what the injection rules look at: MCG_STATUS, and for
// an uncorrected record the bank controls, CR4, and MCG_CTL if there is one.
bool knows_injection(const GuestProfile& guest, const wire::SnapshotLine& snapshot,
                     bool uncorrected);

// Whether it has what `broadcast_ready` looks at besides.
bool knows_readiness(const GuestProfile& guest, const wire::SnapshotLine& snapshot);

}  // namespace memfail::decision
