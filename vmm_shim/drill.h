// SPDX-License-Identifier: BSD-3-Clause
//
// A drill: the kernel's exact signal for a page that is whole. A positive si_code may
// come from the thread itself only, and its handler runs when that call returns, so
// outside KVM_RUN; its report says that it was the guest's access, and that it is a
// drill. All that follows is the real way, but for what would cost the guest its page.
#pragma once

#include "vmm_shim/operator_task.h"
#include "vmm_shim/state.h"

namespace memfail::shim {

// Whether the page can have one: the refusal, or `none`. Any thread.
OperatorAnswer check_drill(memfail_shim& shim, const OperatorRequest& request);

// Raises it, on the vCPU's thread, outside KVM_RUN.
OperatorAnswer drill_here(const memfail_lane& lane, const OperatorRequest& request);

// Whether this thread's signal is the drill that it raises now. Async-signal-safe.
bool is_drill(const memfail_shim& shim, const siginfo_t& info);

}  // namespace memfail::shim
