// SPDX-License-Identifier: BSD-3-Clause
//
// Claiming cells, on the VMM's side. Async-signal-safe: a claim is one atomic
// instruction, so a handler may interrupt any step of another claim of its own
// thread; no step waits for anybody.
#pragma once

#include <cstdint>
#include <optional>

#include "shm/area.h"

namespace memfail::shm {

struct Claim {
  CellId id;
  std::uint64_t n = 0;  // the incident's sequence in its lane
};

// Claims the next cell of a vCPU's lane, whose thread is the only one to do so.
// None: the lane is full; count it.
std::optional<Claim> claim_in_lane(const RequestView& request, const ReplyView& reply,
                                   std::uint32_t lane);

// Claims a slot of the process lane for thread `tid` of process `pid`; any thread.
// A slot whose claimer died before it committed is taken over and counted.
std::optional<Claim> claim_slot(const RequestView& request, const ReplyView& reply,
                                std::uint32_t pid, std::uint32_t tid);

// Adds one to a counter of wire::RequestCounters.
void count_lost_report(const RequestView& request);
// A SIGBUS that is no hardware error.
void count_backing_store(const RequestView& request);

// The last incident of this cell that is done with, by whichever area says so:
// a re-attach may have put a fresh reply area under the view.
std::uint64_t done_until(const RequestView& request, const ReplyView& reply, CellId id);

// Step 1 of a re-attach: keeps every retired word of a dead reply area in the
// request area, where the next sidecar and claim_*() look for it.
void keep_retired(const RequestView& request, const ReplyView& dead);

}  // namespace memfail::shm
