// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/sandbox/limits.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>

namespace memfail::sandbox {
namespace {

// Both limits: nobody raises it again.
Done set_to_zero(__rlimit_resource what, const char* name) {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  if (::setrlimit(what, &none) != 0) return refused(name);
  return {};
}

}  // namespace

Done refuse_core_files() { return set_to_zero(RLIMIT_CORE, "setrlimit(RLIMIT_CORE)"); }

Done limit_descriptors() {
  constexpr rlim_t kMost = 65'536;
  rlimit now{};
  if (::getrlimit(RLIMIT_NOFILE, &now) != 0) return refused("getrlimit(RLIMIT_NOFILE)");
  const rlim_t most = std::min(now.rlim_max, kMost);
  const rlimit limit{.rlim_cur = most, .rlim_max = most};
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return refused("setrlimit(RLIMIT_NOFILE)");
  return {};
}

Done lock_memory() {
  if (::mlockall(MCL_CURRENT) != 0) {
    return refused("mlockall", "raise LimitMEMLOCK or `ulimit -l` to 64 MiB");
  }
  return {};
}

Done refuse_new_processes() { return set_to_zero(RLIMIT_NPROC, "setrlimit(RLIMIT_NPROC)"); }

}  // namespace memfail::sandbox
