// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/samples.h"

#include <algorithm>

namespace memfail::bench {

// Nearest rank: a value that was really seen.
Quantiles Samples::quantiles() const {
  if (values_.empty()) return {};
  std::vector<std::uint64_t> sorted = values_;
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&](std::size_t per_mille) {
    const std::size_t rank = (sorted.size() * per_mille + 999) / 1000;
    return sorted[std::max<std::size_t>(rank, 1) - 1];
  };
  return {at(500), at(990), at(999)};
}

}  // namespace memfail::bench
