// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace memfail::shm {

// What was wrong with something a peer gave or the kernel refused: names the
// thing, its value and the limit. `what` and `field` have static storage.
struct Error {
  const char* field = "";    // "reply area seals"
  const char* what = "";     // "lacks one of SHRINK|GROW|FUTURE_WRITE|SEAL"
  std::uint64_t value = 0;
  std::uint64_t limit = 0;
  int number = 0;            // errno, or 0
};

}  // namespace memfail::shm
