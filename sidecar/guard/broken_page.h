// SPDX-License-Identifier: BSD-3-Clause
//
// SIGBUS in this process: zeros in the place of a lost page of a guarded range; the
// end of the process, with one line, for any other.
#pragma once

namespace memfail::guard {

// From here on. False: errno says why.
bool handle_sigbus();

}  // namespace memfail::guard
