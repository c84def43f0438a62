// SPDX-License-Identifier: BSD-3-Clause
//
// What malloc() of the C library would open a file for.
#pragma once

namespace memfail::sandbox {

// Before the threads start.
void keep_allocator_from_files();

}  // namespace memfail::sandbox
