// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "shm/raw_syscall.h"
#include "vmm_shim/state.h"

namespace memfail::shim {

// Makes memfail_shim_fd() readable: dispatch has work. Async-signal-safe.
inline void wake_dispatch(const memfail_shim& shim) {
  const std::uint64_t one = 1;
  shm::raw_syscall(SYS_write, shim.session.wake.get(), shm::as_argument(&one), sizeof one);
}

}  // namespace memfail::shim
