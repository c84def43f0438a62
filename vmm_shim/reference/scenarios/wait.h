// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <chrono>

namespace memfail::scenarios {

// True when the descriptor is readable (or has hung up), false at the limit.
bool readable_before(int fd, std::chrono::steady_clock::time_point limit);

// Which of the two is readable first (the first, if both); -1 at the limit.
int first_readable(int first, int second, std::chrono::steady_clock::time_point limit);

}  // namespace memfail::scenarios
