// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "vmm_shim/state.h"

namespace memfail::shim {

// Replaces every page of the list, with the vCPUs stopped. How many stay broken.
std::uint32_t repair_all(memfail_shim& shim);

}  // namespace memfail::shim
