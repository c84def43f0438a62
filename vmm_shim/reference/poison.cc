// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/poison.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "vmm_shim/reference/exit.h"
#include "vmm_shim/reference/hex.h"
#include "vmm_shim/reference/unique_fd.h"

namespace memfail::reference {
namespace {

constexpr std::size_t kPageSize = 4096;

// Of the module hwpoison-inject, in a mounted debugfs.
constexpr const char* kCorruptPfn = "/sys/kernel/debug/hwpoison/corrupt-pfn";

// From 6.11 on MADV_HWPOISON is an access of the caller's: it gets an AR, nobody an AO.
bool advice_is_an_access() {
  utsname host{};
  int major = 0;
  int minor = 0;
  if (uname(&host) != 0 || std::sscanf(host.release, "%d.%d", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 11);
}

std::uint64_t page_frame(std::byte* page) {
  must(madvise(page, kPageSize, MADV_POPULATE_WRITE), "MADV_POPULATE_WRITE");
  const UniqueFd pagemap(must(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), "pagemap"));
  std::uint64_t entry = 0;
  const auto at = reinterpret_cast<std::uint64_t>(page) / kPageSize * sizeof entry;
  if (pread(pagemap.get(), &entry, sizeof entry, static_cast<off_t>(at)) != sizeof entry) {
    die("/proc/self/pagemap: cannot be read");
  }
  return entry & ((std::uint64_t{1} << 55) - 1);
}

// As a machine check of a page that nobody touches.
void break_frame(const UniqueFd& corrupt, std::byte* page) {
  const std::string frame = hex(page_frame(page));
  const auto written = write(corrupt.get(), frame.data(), frame.size());
  must(static_cast<int>(written), kCorruptPfn);
}

}  // namespace

// An empty range breaks nothing, but says whether the kernel knows the advice.
std::string why_unavailable(PoisonKind kind) {
  if (kind == PoisonKind::kSignal || access(kCorruptPfn, W_OK) == 0) return {};
  if (advice_is_an_access()) {
    return std::string(
               "MADV_HWPOISON of Linux 6.11 and later tells no one but its caller; load "
               "hwpoison-inject, mount debugfs and be root, for ") +
           kCorruptPfn;
  }
  if (madvise(nullptr, 0, MADV_HWPOISON) == 0) return {};
  if (errno == EPERM) return "MADV_HWPOISON needs CAP_SYS_ADMIN";
  return std::string("this kernel has no MADV_HWPOISON (CONFIG_MEMORY_FAILURE): ") +
         std::strerror(errno);
}

void set_early_kill(bool early) {
  const unsigned long policy = early ? PR_MCE_KILL_EARLY : PR_MCE_KILL_LATE;
  must(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, policy, 0, 0), "PR_MCE_KILL");
}

void break_page(std::byte* page, std::size_t size) {
  const UniqueFd corrupt(open(kCorruptPfn, O_WRONLY | O_CLOEXEC));
  if (corrupt.get() >= 0) return break_frame(corrupt, page);
  must(madvise(page, size, MADV_HWPOISON), "MADV_HWPOISON");
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
