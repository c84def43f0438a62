// SPDX-License-Identifier: BSD-3-Clause
//
// One incident on the thread of the vCPU that carries it out: snapshot, question,
// verdict, KVM_X86_SET_MCE, read-back, outcome.
#pragma once

#include "vmm_shim/state.h"
#include "vmm_shim/verdict.h"

namespace memfail::shim {

// Handles one committed report on `lane`'s thread. A mask of MEMFAIL_*.
int handle_report(memfail_lane& lane, const shm::Claim& claim);

// Handles a report for which no cell was free: by the fallback, as nobody else can be
// asked, and without an outcome line. A mask of MEMFAIL_*.
int handle_without_cell(memfail_lane& lane, const wire::ReportLine& report);

// Ends an action-optional report that no vCPU can take (paused, or none there).
void handle_without_vcpu(memfail_shim& shim, const shm::Claim& claim);

// Carries a choice out and records the outcome, unless somebody has: on the thread of
// the vCPU that does it, or on dispatch's where there is none. A mask of MEMFAIL_*.
int close_case(memfail_shim& shim, const Case& incident, const Choice& choice);

// The report of `claim`, from our own area. False: not committed.
bool own_report(const memfail_shim& shim, const shm::Claim& claim, wire::ReportLine& report);

// Commits the cell's outcome, once, and tells the VMM. Vcpu threads and dispatch.
void finish(memfail_shim& shim, const shm::Claim& claim);

// KVM_X86_SET_MCE, or the VMM's own way. 0 or negative errno.
int set_mce(const memfail_lane& lane, const decision::MachineCheck& record);

}  // namespace memfail::shim
