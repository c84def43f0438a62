// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdarg>
#include <cstdio>

#include "vmm_shim/state.h"

namespace memfail::shim {

// How long a welcome or the acknowledgement of a commit may take. Nobody waits for
// it, but a sidecar that does not answer is not there.
inline constexpr std::uint64_t kAnswerNs = 1000 * kNsPerMs;

// Whether a sidecar is there, for those that wait.
inline void set_up(Session& session, std::uint32_t up) {
  std::atomic_ref<std::uint32_t>(session.up).store(up, std::memory_order_release);
}

// Why there is none, for memfail_shim_state().
[[gnu::format(printf, 2, 3)]] inline void remember(Session& session, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(session.last_error.data(), session.last_error.size(), format, arguments);
  va_end(arguments);
}

// After a region commit: tells the sidecar now if nobody else uses the socket, else
// leaves it to dispatch.
void push_regions(memfail_shim& shim);

// Tells the sidecar that the VM goes away.
void say_goodbye(memfail_shim& shim);

}  // namespace memfail::shim
