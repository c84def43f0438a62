// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/unsupported.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "vmm_shim/reference/exit.h"
#include "vmm_shim/reference/guest.h"
#include "vmm_shim/reference/hex.h"
#include "vmm_shim/reference/machine.h"
#include "vmm_shim/reference/vcpu_setup.h"

namespace memfail::reference {
namespace {

// Asks the host's KVM with a machine that is never started.
std::string why_kvm_refuses(const Needs& needs) {
  const auto low = Memory::make(RamKind::kAnonymous, GUEST_LOW_SIZE);
  const auto test = Memory::make(RamKind::kAnonymous, GUEST_TEST_SIZE);
  if (!low || !test) die(low ? test.error() : low.error());
  const Machine machine(*low, *test);
  if (needs.not_started > 0 && !machine.has_irqchip()) {
    return "without an in-kernel interrupt controller every vCPU is started";
  }
  const UniqueFd vcpu = machine.create_vcpu(0);
  const std::uint64_t mcg_cap = (kMcgCap | needs.mcg_cap) & ~needs.mcg_cap_off;
  if (can_offer(machine, vcpu.get(), mcg_cap)) return {};
  return "KVM_X86_SETUP_MCE refuses MCG_CAP " + hex(mcg_cap) + "; this host's KVM offers " +
         hex(machine.mce_capabilities());
}

// Linux 6.6; the headers are older.
std::string why_no_marks(const Needs& needs) {
  constexpr std::uint64_t kFeaturePoison = 1 << 14;
  if (!needs.marks) return {};
  const UniqueFd fd(
      static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)));
  if (fd.get() < 0) return std::string("userfaultfd: ") + std::strerror(errno);
  uffdio_api api{UFFD_API, kFeaturePoison, 0};
  if (ioctl(fd.get(), UFFDIO_API, &api) == 0) return {};
  return "this kernel has no UFFDIO_POISON (Linux 6.6)";
}

std::string why_too_little(const Needs& needs) {
  if (needs.spare_ram == 0) return {};
  const auto all =
      Memory::make(needs.ram.value_or(RamKind::kAnonymous), GUEST_TEST_SIZE + needs.spare_ram);
  return all ? "" : all.error();
}

}  // namespace

std::string why_unsupported(const Scenario& scenario, PoisonKind poison) {
  if (std::string why = why_unavailable(poison); !why.empty()) return why;
  if (scenario.needs.real_poison && poison == PoisonKind::kSignal) {
    return "needs a really broken page (--poison hwpoison): no signal is involved";
  }
  if (std::string why = why_too_little(scenario.needs); !why.empty()) return why;
  if (std::string why = why_no_marks(scenario.needs); !why.empty()) return why;
  return why_kvm_refuses(scenario.needs);
}

}  // namespace memfail::reference
