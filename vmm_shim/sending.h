// SPDX-License-Identifier: BSD-3-Clause
//
// What the sidecar is to hear, each as soon as the socket takes it. The caller holds
// session.mutex.
#pragma once

#include "vmm_shim/state.h"

namespace memfail::shim {

// The regions of now go to the sidecar, as a transaction.
void begin_transaction(memfail_shim& shim);

// Sends what is due. 0 or negative errno (-EAGAIN: the rest when the socket takes more).
int send_due(memfail_shim& shim);

}  // namespace memfail::shim
