// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "vmm_shim/operator_task.h"
#include "vmm_shim/state.h"

namespace memfail::shim {

// The sidecar asks, with session.mutex held. False: it must not; session.last_error
// says why, and the session ends.
bool ask_for_drill(memfail_shim& shim, std::uint64_t id, const wire::Drill& drill);
bool ask_for_injection(memfail_shim& shim, std::uint64_t id, const wire::Inject& inject);

// The connection is gone: nobody waits for an answer any more. With session.mutex held.
void forget_operator(memfail_shim& shim);

// Dispatch, without the lock: takes up what was asked, and what came of it. When it is
// to be called again at the latest (CLOCK_MONOTONIC, ns), or 0.
std::uint64_t serve_operator(memfail_shim& shim, std::uint64_t now);

}  // namespace memfail::shim
