// SPDX-License-Identifier: BSD-3-Clause
//
// What the tables of a VM are told about its incidents.
#pragma once

#include <cstdint>

#include "sidecar/decision/types.h"

namespace memfail::session {

struct Instant {
  std::uint64_t realtime_us = 0;   // CLOCK_REALTIME, for people
  std::uint64_t monotonic_ns = 0;  // CLOCK_MONOTONIC, for windows
};

inline constexpr std::uint64_t kSecondNs = 1'000'000'000;

struct PageReport {
  decision::Classification where;
  decision::Severity severity = decision::Severity::kNone;
  std::uint32_t guest_epoch = 0;  // the guest's life, as the report has it
  bool drill = false;
  std::int32_t vcpu = -1;  // that met it; -1: none
};

// An incident at its end.
struct PageOutcome {
  PageReport report;
  std::int32_t vcpu = -1;  // -1: none's
  wire::Verdict verdict = wire::Verdict::none;
  wire::Reason reason = wire::Reason::none;
  wire::Delivered delivered = wire::Delivered::none;
};

}  // namespace memfail::session
