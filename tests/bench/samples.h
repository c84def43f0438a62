// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <vector>

namespace memfail::bench {

struct Quantiles {
  std::uint64_t median = 0;
  std::uint64_t p99 = 0;
  std::uint64_t p999 = 0;
};

// Durations of one thing measured many times, in nanoseconds.
class Samples {
 public:
  void reserve(std::size_t count) { values_.reserve(count); }
  void add(std::uint64_t ns) { values_.push_back(ns); }
  [[nodiscard]] std::size_t count() const { return values_.size(); }
  // Of none: zeros.
  [[nodiscard]] Quantiles quantiles() const;

 private:
  std::vector<std::uint64_t> values_;
};

}  // namespace memfail::bench
