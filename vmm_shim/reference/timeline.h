// SPDX-License-Identifier: BSD-3-Clause
//
// What happened when, in words: microseconds since the VMM began.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace memfail::reference {

struct Moment {
  std::int64_t at_us;
  std::string text;
};

class Timeline {
 public:
  void note(std::string text);
  // Counts its time from the start of that one.
  void continue_from(const Timeline& earlier) { start_ = earlier.start_; }
  std::vector<Moment> moments() const;

 private:
  mutable std::mutex mutex_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::vector<Moment> moments_;
};

}  // namespace memfail::reference
