// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/wait.h"

#include <poll.h>

#include <algorithm>
#include <array>

namespace memfail::scenarios {

bool readable_before(int fd, std::chrono::steady_clock::time_point limit) {
  return first_readable(fd, -1, limit) == fd;
}

int first_readable(int first, int second, std::chrono::steady_clock::time_point limit) {
  for (;;) {
    const auto left = limit - std::chrono::steady_clock::now();
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    std::array<pollfd, 2> fds{{{first, POLLIN, 0}, {second, POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), static_cast<int>(std::max<long>(ms, 0))) > 0) {
      return fds[0].revents != 0 ? first : second;
    }
    if (ms <= 0) return -1;  // else a signal came
  }
}

}  // namespace memfail::scenarios
