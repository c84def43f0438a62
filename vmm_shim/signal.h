// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "vmm_shim/state.h"

namespace memfail::shim {

// True in a child that a fork made of the VMM's process: it has no areas.
bool in_forked_child(const memfail_shim& shim);

}  // namespace memfail::shim
