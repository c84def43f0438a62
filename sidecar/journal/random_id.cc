// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop): getrandom
#include "sidecar/journal/random_id.h"

#include <sys/random.h>

#include <cstdlib>

namespace memfail::journal {

std::uint64_t random_word() {
  std::uint64_t word = 0;
  if (::getrandom(&word, sizeof word, 0) != sizeof word) std::abort();
  return word;
}

}  // namespace memfail::journal
