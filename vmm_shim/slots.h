// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "vmm_shim/state.h"

namespace memfail::shim {

// Dispatch: hands the action-optional reports of non-vCPU threads to a vCPU, which
// can take them; without one they are only recorded.
void take_up_slots(memfail_shim& shim);

}  // namespace memfail::shim
