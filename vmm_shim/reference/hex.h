// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <string>

namespace memfail::reference {

// "0xbd80000000000134"
std::string hex(std::uint64_t value);

}  // namespace memfail::reference
