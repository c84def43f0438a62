// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string_view>

namespace memfail::sandbox {

// SIGSYS writes one line that names the calling thread, the call and its arguments, and
// ends the process with SIGSYS. `thread` is a literal. Async-signal-safe from then on.
void report_traps(std::string_view thread);

}  // namespace memfail::sandbox
