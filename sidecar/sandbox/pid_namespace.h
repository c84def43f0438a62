// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "sidecar/sandbox/failure.h"

namespace memfail::sandbox {

// Forks, and returns in the child: process 1 of a namespace in which there is nobody else
// to signal; in the user namespace, which gives the right to it. It dies with its parent. The
// parent keeps stderr alone, hands SIGTERM and SIGINT on, and ends as the child ends.
Done enter_pid_namespace();

}  // namespace memfail::sandbox
