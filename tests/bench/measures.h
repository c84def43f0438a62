// SPDX-License-Identifier: BSD-3-Clause
//
// The three measures, each in every placement that the machine has.
#pragma once

#include <cstdint>
#include <string>

#include "tests/bench/placement.h"
#include "tests/bench/report.h"

namespace memfail::bench {

struct Options {
  Cores cores;  // before anything is pinned
  std::uint32_t rounds = 0;
  std::string memfaild;
};

inline constexpr const char* kFloorName = "eventfd-round-trip";
inline constexpr const char* kVerdictName = "signal-to-verdict";
inline constexpr const char* kQuestionName = "question-to-verdict";
inline constexpr const char* kInjectionName = "signal-to-injection";
inline constexpr const char* kQemuName = "qemu-like-sequence";

void measure_floor(const Options& options, Report& report);
void measure_verdict(const Options& options, Report& report);
void measure_injection(const Options& options, Report& report);

}  // namespace memfail::bench
