// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

namespace memfail::scenarios {

// For what no run can go on without: one line with errno, exit status 1.
[[noreturn]] void fail(const std::string& what);

}  // namespace memfail::scenarios
