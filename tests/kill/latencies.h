// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace memfail::kill {

// Of times in ns, for a person to read.
inline std::string summary(std::vector<std::uint64_t> took) {
  if (took.empty()) return "none";
  std::ranges::sort(took);
  const auto us = [&](std::size_t thousandths) {
    return std::to_string(took[thousandths * (took.size() - 1) / 1000] / 1000) + " us";
  };
  return std::to_string(took.size()) + ": median " + us(500) + ", p90 " + us(900) + ", p99 " +
         us(990) + ", longest " + us(1000);
}

}  // namespace memfail::kill
