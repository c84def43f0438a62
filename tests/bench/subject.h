// SPDX-License-Identifier: BSD-3-Clause
//
// What is measured, and how measurements that are compared are taken in turns.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tests/bench/samples.h"

namespace memfail::bench {

// Something that can be done over and over, each time timed by itself.
class Subject {
 public:
  virtual ~Subject() = default;
  // Does it once; the nanoseconds of its timed part.
  virtual std::uint64_t round() = 0;
};

// Before each round: long enough for the other side to be asleep again, so that
// every round begins as a real one does. Also what lets both sides of a
// comparison meet the same caches and the same idle states.
void settle();

// How long settle() pauses; 0: rounds follow one another, caches warm.
void set_pause_us(std::uint32_t microseconds);

// From now on SIGINT and SIGTERM end a measurement with a failure, so that what was
// started and made is taken away.
void end_on_signals();

// Measures all subjects `rounds` times, in turns of a few rounds each, so that
// what else happens on the machine hits all of them alike. One Samples a subject.
std::vector<Samples> measure_in_turns(std::span<Subject* const> subjects, std::uint32_t rounds);

}  // namespace memfail::bench
