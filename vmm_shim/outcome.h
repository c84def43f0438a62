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
  std::uint32_t area_serial = 0;  // of the area that was asked
  wire::ReplyLine reply;
};

// Waits for the sidecar's reply until `until_ns` (CLOCK_MONOTONIC); at once without
// a session. A lying reply area drops the session.
Answer ask(memfail_shim& shim, const shm::Claim& claim, std::uint64_t until_ns);

// The same for who ends the VMM on it: waits until the verdict is also on record, since
// nobody may be left to tell of it. At `until_ns` what there is of it is taken.
Answer ask_on_record(memfail_shim& shim, const shm::Claim& claim, std::uint64_t until_ns);

// Ends the session whose reply area was `area_serial`, from a vCPU's thread: dispatch
// closes it. Another that has come meanwhile is left alone.
void drop_session(memfail_shim& shim, std::uint32_t area_serial);

// Takes the right to carry `outcome`'s verdict out. False: somebody else has it.
bool claim_outcome(const memfail_shim& shim, const shm::Claim& claim,
                   const wire::OutcomeLine& outcome);

// Writes the outcome line and rings.
void commit_outcome(const memfail_shim& shim, const shm::Claim& claim,
                    const wire::OutcomeLine& outcome);

// The outcome of a report after which the VMM ends, or (`pause`) leaves the access and
// pauses the VM.
wire::OutcomeLine outside_outcome(const memfail_shim& shim, const wire::ReportLine& report,
                                  const Answer& answer, bool pause);

}  // namespace memfail::shim
