// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/poison.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "vmm_shim/reference/exit.h"

namespace memfail::reference {

// An empty range breaks nothing, but says whether the kernel knows the advice.
std::string why_unavailable(PoisonKind kind) {
  if (kind == PoisonKind::kSignal || madvise(nullptr, 0, MADV_HWPOISON) == 0) return {};
  if (errno == EPERM) return "MADV_HWPOISON needs CAP_SYS_ADMIN";
  return std::string("this kernel has no MADV_HWPOISON (CONFIG_MEMORY_FAILURE): ") +
         std::strerror(errno);
}

void set_early_kill(bool early) {
  const unsigned long policy = early ? PR_MCE_KILL_EARLY : PR_MCE_KILL_LATE;
  must(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, policy, 0, 0), "PR_MCE_KILL");
}

void break_memory(void* address, std::size_t size) {
  must(madvise(address, size, MADV_HWPOISON), "MADV_HWPOISON");
}

void raise_sigbus(int si_code, std::uint64_t address, unsigned lsb) {
  siginfo_t info{};
  info.si_signo = SIGBUS;
  info.si_code = si_code;
  info.si_addr = reinterpret_cast<void*>(address);
  info.si_addr_lsb = static_cast<short>(lsb);
  const int result = static_cast<int>(
      syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGBUS, &info));
  must(result, "rt_tgsigqueueinfo");
}

}  // namespace memfail::reference
