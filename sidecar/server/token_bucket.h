// SPDX-License-Identifier: BSD-3-Clause
//
// How often something may happen: so many at once, and so many a second on average.
// Pure: the caller brings the time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace memfail::server {

struct Rate {
  std::uint32_t at_once = 0;
  std::uint32_t per_second = 0;  // above 0
};

class TokenBucket {
 public:
  TokenBucket(Rate rate, std::uint64_t now_ms)
      : rate_(rate), thousandths_(std::uint64_t{rate.at_once} * 1000), at_ms_(now_ms) {}

  // False: not now.
  bool take(std::uint64_t now_ms) {
    fill(now_ms);
    if (thousandths_ < 1000) return false;
    thousandths_ -= 1000;
    return true;
  }

  // Milliseconds until take() succeeds.
  std::uint64_t wait_ms(std::uint64_t now_ms) {
    fill(now_ms);
    if (thousandths_ >= 1000) return 0;
    return (1000 - thousandths_ + rate_.per_second - 1) / rate_.per_second;
  }

  // As good as new.
  bool full(std::uint64_t now_ms) {
    fill(now_ms);
    return thousandths_ == most();
  }

 private:
  std::uint64_t most() const { return std::uint64_t{rate_.at_once} * 1000; }

  void fill(std::uint64_t now_ms) {
    if (now_ms <= at_ms_) return;
    // Beyond a full bucket time does not matter: nothing overflows.
    const std::uint64_t elapsed = std::min(now_ms - at_ms_, most() / rate_.per_second + 1);
    thousandths_ = std::min(most(), thousandths_ + elapsed * rate_.per_second);
    at_ms_ = now_ms;
  }

  Rate rate_;
  std::uint64_t thousandths_;
  std::uint64_t at_ms_;
};

}  // namespace memfail::server
