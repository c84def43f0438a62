// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "sidecar/sandbox/failure.h"

namespace memfail::sandbox {

// The root becomes an empty tmpfs, read-only, without devices, programs or set-user-ID;
// the old one is detached. In a mount namespace of its own. Not possible where the root
// is the kernel's initial one (an initramfs): it cannot be left.
Done enter_empty_root();

}  // namespace memfail::sandbox
