// SPDX-License-Identifier: BSD-3-Clause
//
// An access to guest memory that can be left where the page is broken, so that a policy
// may pause the VM rather than end it. For device emulation.
#pragma once

namespace memfail::reference {

// Calls access(of), which touches guest memory and holds nothing: no lock, no object with
// a destructor. False: it met a broken page and was left, and the VM is to be paused. Where
// the policy does not pause this does not return.
bool guarded(void (*access)(void* of), void* of);

// For memfail: whether the calling thread is in there. From the signal handler.
bool is_guarded();

// Out of there, to the false above. From the signal handler.
[[noreturn]] void leave_guarded();

}  // namespace memfail::reference
