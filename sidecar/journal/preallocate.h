// SPDX-License-Identifier: BSD-3-Clause
//
// Filling the journal's files before first use, so that nothing later needs room.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "shm/unique_fd.h"
#include "sidecar/journal/journal_directory.h"

namespace memfail::journal {

// Makes the files that `directory` lacks and fills those that an earlier start
// did not come to fill; then all that is there survives a power cut. A file that
// is longer, or shorter with something in it, was made with another size:
// refused. Where there is no room, what was made now is removed again.
std::expected<std::vector<shm::UniqueFd>, std::string> preallocate_files(
    int directory, const std::string& path, const JournalGeometry& geometry);

}  // namespace memfail::journal
