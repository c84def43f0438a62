// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "sidecar/sandbox/failure.h"

namespace memfail::sandbox {

// Landlock with everything handled that this kernel knows, and nothing granted: no file,
// no TCP port, no abstract socket of others. Needs no_new_privs. What is open stays open.
Done grant_no_files();

}  // namespace memfail::sandbox
