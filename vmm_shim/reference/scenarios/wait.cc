// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/wait.h"

#include <poll.h>

#include <algorithm>

namespace memfail::scenarios {

bool readable_before(int fd, std::chrono::steady_clock::time_point limit) {
  for (;;) {
    const auto left = limit - std::chrono::steady_clock::now();
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    pollfd entry{fd, POLLIN, 0};
    if (poll(&entry, 1, static_cast<int>(std::max<long>(ms, 0))) > 0) return true;
    if (ms <= 0) return false;  // else a signal came
  }
}

}  // namespace memfail::scenarios
