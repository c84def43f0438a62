// SPDX-License-Identifier: BSD-3-Clause
//
// The start: what the front holds is applied to what the journal's files came to, and
// what nobody can finish any more is found.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/journal/event_fields.h"
#include "sidecar/journal/front.h"
#include "sidecar/journal/live_state.h"

namespace memfail::journal {

struct Replayed {
  LiveState state;
  std::uint64_t replayed = 0;  // records that only the front had
  std::uint64_t missing = 0;   // records that neither has
};

// `files`: what the journal's files came to; none: the front is alone, and begins with
// a checkpoint unless it never needed one. Error: one line, without the front's path.
std::expected<Replayed, std::string> replay_front(const Front& front,
                                                  std::optional<LiveState> files);

// A session whose VMM is gone: its open incidents and folded counts become events, then
// it ends.
struct OverSession {
  wire::Id128 session;
  OwnedSession record;                      // as far as it is known
  wire::Reason reason = wire::Reason::none;  // host_restarted, or vmm_exited
  std::vector<wire::VerdictRecord> open;    // by lane and sequence
  std::uint64_t folded = 0;                 // incidents without an event of their own
};

// Whether the process with this id, started then, still runs. Asked only about VMMs of
// this boot.
using VmmIsAlive = std::function<bool(std::int32_t pid, std::uint64_t start_time)>;

// This one as it is on record. Nullopt: it is not.
std::optional<OverSession> over_session(const LiveState& state, const wire::Id128& session,
                                        wire::Reason reason);

std::vector<OverSession> over_sessions(const LiveState& state, const wire::Id128& boot,
                                       const VmmIsAlive& vmm_is_alive);

// What can be said of an incident from its verdict alone; the four members of QEMU's
// event are not the journal's to fill.
EventFields recorded_event(const OverSession& over, const wire::VerdictRecord& verdict,
                           std::uint64_t now_us);

// The folded incidents of such a session, counted.
EventFields folded_event(const OverSession& over, std::uint64_t now_us);

// Records that are gone, counted.
EventFields missing_event(std::uint64_t missing, std::uint64_t now_us);

}  // namespace memfail::journal
