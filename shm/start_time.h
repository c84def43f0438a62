// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <string_view>

namespace memfail::shm {

// When a process began, in clock ticks since boot (proc(5), stat, field 22): with the
// pid it names a process for as long as the machine runs. 0: no such process, or /proc
// cannot be read.
std::uint64_t start_time_of(std::uint32_t pid);

// The same from the text of /proc/PID/stat. 0: not such a text.
std::uint64_t start_time_in(std::string_view stat);

}  // namespace memfail::shm
