// SPDX-License-Identifier: BSD-3-Clause
//
// The named steps of an incident's life, as tracepoints of this very code.
//
// MEMFAIL_STEP(name) is one `nop` and a note in the binary (USDT, provider
// "memfail"): nothing is executed, allocated or locked for it, so it may stand in a
// signal handler. An operator sees the steps of a running process with
//   bpftrace -e 'usdt:/usr/sbin/memfaild:memfail:verdict_recorded { … }'
// and tests/kill puts a breakpoint there: the process dies at exactly that
// instruction, whatever it was doing. docs/protocol.md lists the names.
//
// The fences stop the compiler alone from moving stores over the step: what the
// code above it has stored is in memory, what is below it is not.
#pragma once

#include <sys/sdt.h>

#include <atomic>

// NOLINTBEGIN(bugprone-macro-parentheses): a name, pasted into a note
#define MEMFAIL_STEP(name)                               \
  do {                                                   \
    std::atomic_signal_fence(std::memory_order_seq_cst); \
    DTRACE_PROBE(memfail, name);                         \
    std::atomic_signal_fence(std::memory_order_seq_cst); \
  } while (false)
// NOLINTEND(bugprone-macro-parentheses)
