// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/scheduling.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace memfail::server {
namespace {

constexpr std::uint64_t kSliceNs = 100'000;  // the least that the kernel takes

}  // namespace

void ask_for_short_slice() {
  sched_attr now{};
  if (::syscall(SYS_sched_getattr, 0, &now, sizeof now, 0) != 0) return;
  if (now.sched_policy != SCHED_NORMAL) return;  // the operator's choice
  now.sched_runtime = kSliceNs;
  ::syscall(SYS_sched_setattr, 0, &now, 0);
}

void give_way() {
  constexpr std::int32_t kNicer = 10;
  sched_attr now{};
  if (::syscall(SYS_sched_getattr, 0, &now, sizeof now, 0) != 0) return;
  if (now.sched_policy != SCHED_NORMAL) return;  // the operator's choice
  now.sched_policy = SCHED_BATCH;
  now.sched_nice = std::min(now.sched_nice + kNicer, 19);
  now.sched_runtime = 0;  // as long a slice as the others'
  ::syscall(SYS_sched_setattr, 0, &now, 0);
}

}  // namespace memfail::server
