// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "vmm_shim/state.h"

namespace memfail::shim {

// After a region commit: tells the sidecar now if nobody else uses the socket, else
// leaves it to dispatch.
void push_regions(memfail_shim& shim);

// Tells the sidecar that the VM goes away.
void say_goodbye(memfail_shim& shim);

}  // namespace memfail::shim
