// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/fail.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace memfail::scenarios {

void fail(const std::string& what) {
  std::fprintf(stderr, "memfail-scenarios: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

}  // namespace memfail::scenarios
