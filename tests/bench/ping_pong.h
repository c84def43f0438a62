// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "shm/unique_fd.h"
#include "tests/bench/child.h"
#include "tests/bench/subject.h"

namespace memfail::bench {

// The floor: one eventfd there, one back, blocking reads and writes, nothing else.
// The least that asking another process costs.
class PingPong : public Subject {
 public:
  PingPong();
  std::uint64_t round() override;
  [[nodiscard]] pid_t peer() const { return echo_.pid(); }

 private:
  shm::UniqueFd there_;
  shm::UniqueFd back_;
  Child echo_;
};

}  // namespace memfail::bench
