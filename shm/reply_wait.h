// SPDX-License-Identifier: BSD-3-Clause
//
// Waiting for a reply, and ringing for it. The four store-fence-load pairs of the
// protocol are here and in the sidecar's intake; nowhere else.
#pragma once

#include <cstdint>

#include "shm/area.h"
#include "shm/lane.h"

namespace memfail::shm {

// The longest that one futex wait lasts. A lost wake-up would cost a slice and is
// counted; it is a bug.
inline constexpr std::uint32_t kSliceMs = 20;

// After a commit: fence, then kick if the sidecar sleeps. Async-signal-safe. True
// if it kicked. `kick_fd` below 0: nobody listens.
bool ring(const ReplyView& reply, int kick_fd);

// CLOCK_MONOTONIC in nanoseconds. Async-signal-safe.
std::uint64_t monotonic_ns();

enum class WaitResult : std::uint8_t {
  kReplied,
  kTimeout,     // `until` has passed
  kSessionDown, // *session_up went 0
  kLying,       // the reply word moved twice without ever being ours
};

struct WaitCounts {
  std::uint32_t waits = 0;          // futex waits entered
  std::uint32_t found_by_slice = 0; // replies that only the end of a slice showed
};

// What a waiter watches besides the reply.
struct WaitContext {
  const RequestView* request = nullptr;
  const ReplyView* reply = nullptr;
  int kick_fd = -1;
  const std::uint32_t* session_up = nullptr;  // 0: no sidecar
  std::uint64_t until_ns = 0;                 // CLOCK_MONOTONIC, absolute
  bool on_record = false;                     // wait for ReplyFlag::journaled, too
};

// Waits until the reply line of `claim` is committed; `on_record`: until it also says
// that its verdict is on record, for which the sidecar may write it once more. Signals
// may interrupt it at any time; the deadline is absolute. Async-signal-safe: raw futex
// calls only.
WaitResult wait_for_reply(const WaitContext& context, const Claim& claim, WaitCounts& counts);

// The sidecar's side: after the reply's commit, fence, then wake if somebody waits.
// True if somebody did.
bool wake_waiter(const RequestView& request, const ReplyView& reply, CellId id);

// Wakes every waiter of a session that went down. One that has looked and not slept
// yet misses it and sits one slice out: only the sidecar could change the word.
void wake_all(const RequestView& request, const ReplyView& reply);

}  // namespace memfail::shm
