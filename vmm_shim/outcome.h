// SPDX-License-Identifier: BSD-3-Clause
//
// From a committed report to a committed outcome: asking the sidecar, claiming,
// recording. Async-signal-safe, all of it: a handler that must end the VMM uses it.
#pragma once

#include <cstdint>

#include "shm/reply_wait.h"
#include "vmm_shim/state.h"

namespace memfail::shim {

// What came of asking.
struct Answer {
  bool replied = false;
  wire::ReplyLine reply;
};

// Waits for the sidecar's reply until `until_ns` (CLOCK_MONOTONIC); at once without
// a session. A lying reply area drops the session.
Answer ask(memfail_shim& shim, const shm::Claim& claim, std::uint64_t until_ns);

// Ends the session from a vCPU's thread: nobody waits on it any more, and dispatch
// closes it.
void drop_session(memfail_shim& shim);

// Takes the right to carry `outcome`'s verdict out. False: somebody else has it.
bool claim_outcome(const memfail_shim& shim, const shm::Claim& claim,
                   const wire::OutcomeLine& outcome);

// Writes the outcome line and rings.
void commit_outcome(const memfail_shim& shim, const shm::Claim& claim,
                    const wire::OutcomeLine& outcome);

// The outcome of a report after which the VMM ends.
wire::OutcomeLine abort_outcome(const memfail_shim& shim, const wire::ReportLine& report,
                                const Answer& answer);

}  // namespace memfail::shim
