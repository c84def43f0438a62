// SPDX-License-Identifier: BSD-3-Clause
#include "tests/kill/soft_vcpu.h"

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstring>

#include "sidecar/decision/machine_check.h"
#include "vmm_shim/kvm.h"

namespace memfail::kill {
namespace {

constexpr int kMostDescriptors = 1024;

// By descriptor; made before any thread that uses them, and never unmade.
std::array<SoftVcpu*, kMostDescriptors> g_vcpus{};

SoftVcpu* vcpu_of(int fd) {
  return fd >= 0 && fd < kMostDescriptors ? g_vcpus[static_cast<std::size_t>(fd)] : nullptr;
}

int refuse(int error) {
  errno = error;
  return -1;
}

}  // namespace

SoftVcpu::SoftVcpu() : fd_(::eventfd(0, EFD_CLOEXEC)) {
  g_vcpus.at(static_cast<std::size_t>(fd_.get())) = this;
}

void SoftVcpu::recover() {
  mcg_status_ = 0;
  queued_ = false;
  triple_fault_ = false;
  banks_ = {};
}

int SoftVcpu::control(unsigned long request, void* argument) {
  switch (request) {
    case shim::kGetMpState:
      *static_cast<kvm_mp_state*>(argument) = {KVM_MP_STATE_RUNNABLE};
      return 0;
    case shim::kGetMsrs:
      return get_msrs(argument);
    case shim::kGetSregs:
      std::memset(argument, 0, sizeof(kvm_sregs));
      static_cast<kvm_sregs*>(argument)->cr4 = shim::kCr4Mce;
      return 0;
    case shim::kGetVcpuEvents:
      return get_events(*static_cast<kvm_vcpu_events*>(argument));
    case shim::kSetMce:
      return set_machine_check(*static_cast<const kvm_x86_mce*>(argument));
    default:
      return refuse(ENOTTY);
  }
}

// How many were read: it stops at the first that it does not have.
int SoftVcpu::get_msrs(void* list) const {
  std::uint32_t count = 0;
  std::memcpy(&count, list, sizeof count);
  auto* entries =
      reinterpret_cast<kvm_msr_entry*>(static_cast<std::byte*>(list) + 2 * sizeof(std::uint32_t));
  std::uint32_t read = 0;
  while (read < count) {
    std::uint64_t value = 0;
    if (!get_msr(entries[read].index, value)) break;
    entries[read++].data = value;
  }
  return static_cast<int>(read);
}

bool SoftVcpu::get_msr(std::uint32_t index, std::uint64_t& value) const {
  constexpr std::uint64_t kAllOnes = ~std::uint64_t{0};
  if (index == shim::kMsrMcgStatus) {
    value = mcg_status_;
    return true;
  }
  if (index == shim::kMsrMcgCtl) {
    value = kAllOnes;
    return true;
  }
  if (index < shim::kMsrBank0Ctl || index >= shim::kMsrBank0Ctl + 4 * kBanks) return false;
  const Bank& bank = banks_[(index - shim::kMsrBank0Ctl) / 4];
  const std::array<std::uint64_t, 4> registers{kAllOnes, bank.status, bank.address, bank.misc};
  value = registers[(index - shim::kMsrBank0Ctl) % 4];
  return true;
}

int SoftVcpu::get_events(kvm_vcpu_events& events) const {
  events = {};
  events.flags = KVM_VCPUEVENT_VALID_SMM | KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
  events.exception.pending = queued_ ? 1 : 0;
  events.exception.nr = queued_ ? shim::kMachineCheckVector : 0;
  events.triple_fault.pending = triple_fault_ ? 1 : 0;
  return 0;
}

// KVM's own order (kvm_vcpu_ioctl_x86_set_mce), for what is uncorrected and not UCNA.
int SoftVcpu::set_machine_check(const kvm_x86_mce& given) {
  if (given.bank >= kBanks || (given.status & decision::kStatusVal) == 0) return refuse(EINVAL);
  if ((mcg_status_ & decision::kMcgStatusMcip) != 0) {
    triple_fault_ = true;
    return 0;
  }
  Bank& bank = banks_[given.bank];
  const bool over = (bank.status & decision::kStatusVal) != 0;
  bank = {given.status | (over ? decision::kStatusOver : 0), given.addr, given.misc};
  mcg_status_ = given.mcg_status;
  queued_ = true;
  return 0;
}

}  // namespace memfail::kill

// The program's own, before libc's: the shim's calls come here.
extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  if (auto* const vcpu = memfail::kill::vcpu_of(fd)) return vcpu->control(request, argument);
  return static_cast<int>(::syscall(SYS_ioctl, fd, request, argument));
}
