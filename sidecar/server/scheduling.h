// SPDX-License-Identifier: BSD-3-Clause
//
// How soon this process runs once it is woken.
#pragma once

namespace memfail::server {

// Asks the scheduler for a short time slice. A thread with a shorter slice than the
// one on the core runs at once when it is woken (Linux 6.12 and later: EEVDF), so a
// vCPU that rings need not go to sleep before its verdict is made. It is a promise
// to be brief, not a priority: the share of the processor stays the same, and no
// privilege is needed. Where the kernel does not know it nothing changes.
void ask_for_short_slice();

// The calling thread gives way: woken, it takes the core from nobody, and where there are
// too few it has a tenth of another's share. For what is to be done, but not soon.
void give_way();

}  // namespace memfail::server
