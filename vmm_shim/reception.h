// SPDX-License-Identifier: BSD-3-Clause
//
// What the sidecar says. The caller holds session.mutex.
#pragma once

#include "shm/control_socket.h"
#include "vmm_shim/state.h"

namespace memfail::shim {

// One message, in session.buffer. False: the session ends, and session.last_error says why.
bool take_message(memfail_shim& shim, const shm::Received& received);

}  // namespace memfail::shim
