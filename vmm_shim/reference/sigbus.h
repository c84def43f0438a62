// SPDX-License-Identifier: BSD-3-Clause
//
// The VMM's SIGBUS handler. The process has one; the shim never installs its own.
#pragma once

#include <memfail/shim.h>

namespace memfail::reference {

// Once, before any thread that may touch guest memory. `process_lane` serves the
// threads that have no lane of their own.
void install_sigbus_handler(memfail_lane* process_lane);

// The calling thread is a vCPU's: what it meets goes through `lane`.
void set_sigbus_lane(memfail_lane* lane);

}  // namespace memfail::reference
