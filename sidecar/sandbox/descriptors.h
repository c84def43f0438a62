// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <span>

#include "sidecar/sandbox/failure.h"

namespace memfail::sandbox {

// Everything above stderr but `keep`. What a parent forgot to close may be another VM's
// memory; 0 and 1 become /dev/null: nobody reads or writes through them here.
Done close_all_but(std::span<const int> keep);

}  // namespace memfail::sandbox
