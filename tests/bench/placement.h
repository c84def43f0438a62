// SPDX-License-Identifier: BSD-3-Clause
//
// Where the two sides of a measurement run.
#pragma once

#include <sys/types.h>

#include <array>
#include <span>
#include <vector>

#include "tests/bench/child.h"

namespace memfail::bench {

enum class Placement : unsigned char {
  kSameCore,   // both sides share one core
  kTwoCores,   // each has its own, otherwise idle
  kBothBusy,   // each has its own, and a niced loop keeps both busy
};

const char* name_of(Placement placement);

// The first two CPUs this process may use.
class Cores {
 public:
  Cores();
  // Without a second core only kSameCore can be measured.
  [[nodiscard]] std::span<const Placement> placements() const;
  [[nodiscard]] int ours() const { return first_; }
  [[nodiscard]] int peer(Placement placement) const {
    return placement == Placement::kSameCore ? first_ : second_;
  }

 private:
  int first_ = -1;
  int second_ = -1;
};

// Puts all threads of a process on one CPU.
void pin(pid_t pid, int cpu);

// A placement in force: we are on our core, and both are busy if they should be.
// Peers are placed with place_peer().
class Placed {
 public:
  Placed(const Cores& cores, Placement placement);
  void place_peer(pid_t pid) const { pin(pid, peer_cpu_); }

 private:
  int peer_cpu_;
  std::vector<Child> spinners_;
};

}  // namespace memfail::bench
