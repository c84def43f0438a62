// SPDX-License-Identifier: BSD-3-Clause
//
// The descriptors and the mapping of one connection. The caller holds session.mutex.
#pragma once

#include "vmm_shim/state.h"

namespace memfail::shim {

// Connects to shim.socket_path, without blocking. 0 or negative errno.
int connect_path(memfail_shim& shim);

// A fresh eventfd under the old number: handlers on other threads hold the number,
// and one that a dead sidecar may still own must not be rung.
int renew_kick(Session& session);

// Has the VMM's event loop told of the socket; `operation` of epoll_ctl().
void watch_socket(const Session& session, int operation, bool for_writing);

// A child that was forked may hold the connection too, and what epoll watches is
// that: closing our descriptor alone would leave it watched for ever. With descriptors in
// it that nobody received it is set aside, and stays open: see Session::set_aside.
void close_socket(Session& session);

// Puts an area of zeros in the place of a dead sidecar's, which may live on and write:
// what it retires from now on, the next sidecar would not know of. Gives the dead area
// for a last look; invalid: there was none.
shm::Mapping bury_area(memfail_shim& shim);

}  // namespace memfail::shim
