// SPDX-License-Identifier: BSD-3-Clause
//
// What the loop thread is told of the journal on disk.
#pragma once

#include <cstdint>

namespace memfail::journal {

struct JournalHealth {
  std::uint64_t durable_seq = 0;  // the last event that survives a power cut
  std::uint64_t first_seq = 1;    // the oldest that can be asked for
  std::uint64_t degraded_since_us = 0;  // CLOCK_REALTIME; 0: it is well
  int error = 0;                        // errno, while degraded
  // CLOCK_MONOTONIC; 0: no file is being waited for. A disk that hangs gives no
  // error: it shows here alone.
  std::uint64_t busy_since_ns = 0;
};

// A time during which nothing could be written, and is over.
struct Outage {
  std::uint64_t since_us = 0;
  std::uint64_t until_us = 0;
  int error = 0;                // the first one
  std::uint64_t events = 0;     // that were in the front alone at its end
};

}  // namespace memfail::journal
