// SPDX-License-Identifier: BSD-3-Clause
//
// A machine check of an operator's making, as QEMU's HMP command `mce`: the same
// checks, the same branches, and an incident of its own kind. One check is ours: a
// record that names memory names memory that the guest has.
#pragma once

#include "vmm_shim/operator_task.h"
#include "vmm_shim/state.h"

namespace memfail::shim {

// What can be said before a vCPU is asked: the refusal, or `none`. Any thread.
OperatorAnswer check_injection(memfail_shim& shim, const OperatorRequest& request);

// Sets it, on the vCPU's thread, outside KVM_RUN.
OperatorAnswer inject_here(memfail_lane& lane, const OperatorRequest& request);

}  // namespace memfail::shim
