// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "sidecar/sandbox/failure.h"

namespace memfail::sandbox {

// All sets empty, the bounding set and the ambient one too.
Done drop_capabilities();
// Nothing that this process runs ever gains privileges.
Done refuse_new_privileges();
// No ptrace by its own user, no /proc/self/mem, no core: they would show what the VMs'
// areas hold.
Done refuse_dumps();

}  // namespace memfail::sandbox
