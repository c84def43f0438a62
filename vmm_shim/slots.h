// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "vmm_shim/state.h"

namespace memfail::shim {

// Dispatch: hands the action-optional reports of non-vCPU threads to a vCPU, which
// can take them. Without one, or where that one does not come to it before the
// deadline, they are only recorded. The next deadline (CLOCK_MONOTONIC, ns), or 0.
std::uint64_t take_up_slots(memfail_shim& shim, std::uint64_t now);

}  // namespace memfail::shim
