// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/timeline.h"

#include <utility>

namespace memfail::reference {

void Timeline::note(std::string text) {
  using std::chrono::duration_cast, std::chrono::microseconds;
  const std::lock_guard lock(mutex_);
  const auto elapsed = std::chrono::steady_clock::now() - start_;
  moments_.push_back({duration_cast<microseconds>(elapsed).count(), std::move(text)});
}

std::vector<Moment> Timeline::moments() const {
  const std::lock_guard lock(mutex_);
  return moments_;
}

}  // namespace memfail::reference
