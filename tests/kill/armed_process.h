// SPDX-License-Identifier: BSD-3-Clause
//
// Death at a named step. A breakpoint instruction is written over the step's `nop`
// in a running process: the first thread that comes there raises SIGTRAP, whose
// default action ends the process. Nothing of it runs after that instruction, no
// handler, no destructor: it is SIGKILL at a place we choose.
#pragma once

#include <sys/types.h>

#include <expected>
#include <string>

#include "tests/kill/probe_table.h"

namespace memfail::kill {

// Arms every place of `step` in process `pid`, which runs the table's program. An
// error says why it could not.
std::expected<void, std::string> arm(pid_t pid, const ProbeTable& table, const std::string& step);

}  // namespace memfail::kill
