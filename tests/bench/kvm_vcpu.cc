// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/kvm_vcpu.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cstring>
#include <memory>

#include "tests/bench/bench_vm.h"
#include "tests/bench/failure.h"

namespace memfail::bench {
namespace {

constexpr unsigned long kGetMsrIndexList = 0xC004AE02;
constexpr unsigned long kGetSupportedCpuid = 0xC008AE05;
constexpr unsigned long kSetCpuid2 = 0x4008AE90;
constexpr std::size_t kRamSize = 1 << 20;
constexpr std::uint64_t kCode = 0x1000;
constexpr std::uint64_t kMcgCtlP = 1 << 8;
constexpr std::uint64_t kMcgSerP = 1 << 24;
constexpr std::uint64_t kCr4Mce = 1 << 6;
constexpr std::uint8_t kMachineCheckVector = 18;
constexpr std::array<std::uint8_t, 4> kProgram{0xE6, 0x80, 0xEB, 0xFC};  // again: out 0x80, al

template <typename... Argument>
int call(const char* name, int fd, unsigned long request, Argument... argument) {
  return must(::ioctl(fd, request, argument...), name);
}

struct CpuidBlock {
  std::uint32_t count = 256;
  std::uint32_t pad = 0;
  std::array<kvm_cpuid_entry2, 256> entries{};
};

void set_msrs(int vcpu, MsrBlock& block) {
  if (call("KVM_SET_MSRS", vcpu, kSetMsrs, &block) != static_cast<int>(block.count)) {
    fail("KVM_SET_MSRS refused a machine-check register");
  }
}

}  // namespace

std::string KvmVcpu::obstacle() {
  const shm::UniqueFd kvm(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!kvm.valid()) return std::string("/dev/kvm cannot be opened: ") + std::strerror(errno);
  if (::ioctl(kvm.get(), KVM_CHECK_EXTENSION, KVM_CAP_MCE) <= 0) return "KVM has no KVM_CAP_MCE";
  return "";
}

KvmVcpu::KvmVcpu()
    : kvm_(must(::open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm")), ram_(make_ram(kRamSize)) {
  std::memcpy(ram_.data() + kCode, kProgram.data(), kProgram.size());
  make_vm();
  make_vcpu();
  set_features();
  set_registers();
  clear_machine_check();
  run_guest();
}

void KvmVcpu::make_vm() {
  vm_.reset(call("KVM_CREATE_VM", kvm_.get(), KVM_CREATE_VM, 0));
  kvm_userspace_memory_region slot{};
  slot.memory_size = ram_.size();
  slot.userspace_addr = reinterpret_cast<std::uintptr_t>(ram_.data());
  call("KVM_SET_USER_MEMORY_REGION", vm_.get(), KVM_SET_USER_MEMORY_REGION, &slot);
  call("KVM_SET_TSS_ADDR", vm_.get(), KVM_SET_TSS_ADDR, 0xFFFBD000UL);
  call("KVM_CREATE_IRQCHIP", vm_.get(), KVM_CREATE_IRQCHIP, 0);  // as QEMU has it
}

void KvmVcpu::make_vcpu() {
  vcpu_.reset(call("KVM_CREATE_VCPU", vm_.get(), KVM_CREATE_VCPU, 0));
  const int size = call("KVM_GET_VCPU_MMAP_SIZE", kvm_.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
  const auto length = static_cast<std::size_t>(size);
  void* at = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_.get(), 0);
  if (at == MAP_FAILED) fail("kvm_run cannot be mapped");
  run_ = shm::Mapping(at, length);
}

void KvmVcpu::set_features() {
  const auto cpuid = std::make_unique<CpuidBlock>();
  call("KVM_GET_SUPPORTED_CPUID", kvm_.get(), kGetSupportedCpuid, cpuid.get());
  call("KVM_SET_CPUID2", vcpu_.get(), kSetCpuid2, cpuid.get());
  std::uint64_t supported = 0;
  call("KVM_X86_GET_MCE_CAP_SUPPORTED", kvm_.get(), KVM_X86_GET_MCE_CAP_SUPPORTED, &supported);
  mcg_cap_ = kBanks | ((kMcgCtlP | kMcgSerP) & supported);
  call("KVM_X86_SETUP_MCE", vcpu_.get(), KVM_X86_SETUP_MCE, &mcg_cap_);
}

void KvmVcpu::set_registers() const {
  kvm_sregs sregs{};
  call("KVM_GET_SREGS", fd(), KVM_GET_SREGS, &sregs);
  sregs.cs.base = 0;
  sregs.cs.selector = 0;
  sregs.cr4 |= kCr4Mce;
  call("KVM_SET_SREGS", fd(), KVM_SET_SREGS, &sregs);
  kvm_regs regs{};
  regs.rip = kCode;
  regs.rflags = 2;
  call("KVM_SET_REGS", fd(), KVM_SET_REGS, &regs);
  MsrBlock controls;
  controls.add(kMsrMcgCtl, ~std::uint64_t{0});
  for (std::uint32_t bank = 0; bank < kBanks; ++bank) {
    controls.add(kMsrBank0Ctl + 4 * bank, ~std::uint64_t{0});
  }
  set_msrs(fd(), controls);
}

std::uint64_t KvmVcpu::mcg_cap_kvm() const {
  MsrBlock block;
  block.add(0x179);
  if (call("KVM_GET_MSRS", fd(), kGetMsrs, &block) != 1) fail("KVM_GET_MSRS refused MCG_CAP");
  return block.entries[0].data;
}

std::vector<std::uint32_t> KvmVcpu::msr_indices() const {
  std::vector<std::uint32_t> list(1 + 1024);
  list[0] = 1024;
  call("KVM_GET_MSR_INDEX_LIST", kvm_.get(), kGetMsrIndexList, list.data());
  const std::size_t count = list[0];
  list.erase(list.begin());
  list.resize(count);
  return list;
}

int KvmVcpu::check_extension(long capability) const {
  return call("KVM_CHECK_EXTENSION", vm_.get(), KVM_CHECK_EXTENSION, capability);
}

void KvmVcpu::run_guest() const {
  run()->immediate_exit = 0;
  call("KVM_RUN", fd(), KVM_RUN, 0);
  if (run()->exit_reason != KVM_EXIT_IO) {
    fail("the guest left with exit reason " + std::to_string(run()->exit_reason));
  }
}

void KvmVcpu::clear_machine_check() const {
  kvm_vcpu_events events{};
  call("KVM_GET_VCPU_EVENTS", fd(), KVM_GET_VCPU_EVENTS, &events);
  events.exception = {};
  call("KVM_SET_VCPU_EVENTS", fd(), KVM_SET_VCPU_EVENTS, &events);
  MsrBlock zeros;
  zeros.add(kMsrMcgStatus);
  for (std::uint32_t bank = 0; bank < kBanks; ++bank) {
    for (std::uint32_t i = 1; i < 4; ++i) zeros.add(kMsrBank0Ctl + 4 * bank + i);
  }
  set_msrs(fd(), zeros);
}

bool KvmVcpu::machine_check_queued() const {
  kvm_vcpu_events events{};
  call("KVM_GET_VCPU_EVENTS", fd(), KVM_GET_VCPU_EVENTS, &events);
  const bool queued = events.exception.injected != 0 || events.exception.pending != 0;
  return queued && events.exception.nr == kMachineCheckVector;
}

}  // namespace memfail::bench
