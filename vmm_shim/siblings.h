// SPDX-License-Identifier: BSD-3-Clause
//
// Broadcast: the other vCPUs of a guest learn of a machine check on their own
// threads. They are posted to and never waited for; whoever answers last, or the
// deadline, commits the outcome.
#pragma once

#include "vmm_shim/state.h"

namespace memfail::shim {

// After an injection on `lane`: posts to every other vCPU by the rule, and commits
// the outcome if nobody is waited for. `until_ns`: the incident's deadline.
void start_siblings(memfail_lane& lane, const shm::Claim& claim, wire::SiblingRule rule,
                    std::uint64_t until_ns);

// Dispatch: commits outcomes whose siblings have run out of time. The next deadline
// (CLOCK_MONOTONIC, ns), or 0.
std::uint64_t expire_siblings(memfail_shim& shim, std::uint64_t now);

}  // namespace memfail::shim
