// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/sandbox/descriptors.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace memfail::sandbox {
namespace {

constexpr unsigned kLast = std::numeric_limits<unsigned>::max();

Done to_null(int fd, int flags) {
  const int null = ::open("/dev/null", flags | O_CLOEXEC);
  if (null < 0) return refused("open(/dev/null)");
  const bool done = null == fd || ::dup2(null, fd) == fd;
  if (null != fd) ::close(null);
  if (!done) return refused("dup2");
  return {};
}

}  // namespace

Done close_all_but(std::span<const int> keep) {
  std::vector<unsigned> kept;
  for (const int fd : keep) {
    if (fd > STDERR_FILENO) kept.push_back(static_cast<unsigned>(fd));
  }
  std::ranges::sort(kept);
  unsigned from = STDERR_FILENO + 1;
  for (const unsigned fd : kept) {
    if (fd > from && ::close_range(from, fd - 1, 0) != 0) return refused("close_range");
    from = fd + 1;
  }
  if (::close_range(from, kLast, 0) != 0) return refused("close_range", "needs Linux 5.9");
  if (auto done = to_null(STDIN_FILENO, O_RDONLY); !done) return done;
  return to_null(STDOUT_FILENO, O_WRONLY);
}

}  // namespace memfail::sandbox
