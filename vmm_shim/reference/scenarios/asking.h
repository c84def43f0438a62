// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <sys/types.h>

namespace memfail::scenarios {

// Whether a thread of that VMM waits for a verdict now.
bool is_asking(pid_t vmm);

}  // namespace memfail::scenarios
