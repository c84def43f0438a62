// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "sidecar/options.h"

namespace memfail {

// --print-capabilities: what this back end is, and which layers of the sandbox this host
// allows: it enters it, so the process is good for nothing else afterwards.
std::string capabilities(const Options& options);

}  // namespace memfail
