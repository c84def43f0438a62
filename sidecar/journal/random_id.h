// SPDX-License-Identifier: BSD-3-Clause
//
// Numbers that nobody can guess.
#pragma once

#include <cstdint>

#include "schema/incident_layout.h"

namespace memfail::journal {

// From the kernel. It cannot fail for so few bytes after boot; where it does, the process
// ends: a resume key that can be guessed is worse than none.
std::uint64_t random_word();
inline wire::Id128 random_id() { return {random_word(), random_word()}; }

}  // namespace memfail::journal
