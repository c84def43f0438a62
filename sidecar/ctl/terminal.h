// SPDX-License-Identifier: BSD-3-Clause
//
// What standard output is, and what may be written to it.
#pragma once

#include <cstddef>
#include <string>

namespace memfail::ctl {

// `choice` is auto, always or never. auto: on a terminal, unless NO_COLOR is set
// (no-color.org) or the terminal is a dumb one.
bool use_colour(const std::string& choice = "auto");

// In columns, as it is now; 0: no terminal.
std::size_t terminal_width();

}  // namespace memfail::ctl
