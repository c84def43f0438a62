// SPDX-License-Identifier: BSD-3-Clause
//
// Machine-check banks as a person names them.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace memfail::ctl {

// "9", "0,3,9", "2-5", "all", or the map itself in hexadecimal: "0x208". One bit a
// bank; empty text: none. The error says what is wrong with it: "12: the guest has
// banks 0 to 9".
std::expected<std::uint32_t, std::string> parse_banks(std::string_view text, unsigned count);

// The way back, shortest: "all", "none", "0, 3 to 5, 9".
std::string bank_names(std::uint32_t map, unsigned count);

}  // namespace memfail::ctl
