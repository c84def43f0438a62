// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "sidecar/sandbox/failure.h"

namespace memfail::sandbox {

// Core files would hold what the VMs' areas hold.
Done refuse_core_files();
// As many descriptors as this host allows its user, 65,536 at the most (a VM takes about
// six), and no way to more.
Done limit_descriptors();
// What is mapped now stays in memory: a verdict waits for no swap. Areas that come later
// are not locked: they are memory of their makers', and an attach never fails for a limit.
Done lock_memory();
// After the threads: no fork and no thread from here on.
Done refuse_new_processes();

}  // namespace memfail::sandbox
