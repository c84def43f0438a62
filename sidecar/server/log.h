// SPDX-License-Identifier: BSD-3-Clause
//
// One line on stderr for each thing that matters to a person.
#pragma once

#include <string_view>

namespace memfail::server {

// Reads what of the environment and the time zone later lines need: before either goes.
void prepare_log();

// Under systemd (JOURNAL_STREAM set) the line stands alone, else after the time.
// Control characters, which names from a VMM may hold, are shown as '?'. Never waits: lines
// that come too fast, or that nobody reads, are counted, and the count is told. Longer
// ones are cut. One thread.
void log_line(std::string_view line);

}  // namespace memfail::server
