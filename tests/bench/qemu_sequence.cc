// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/qemu_sequence.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <set>

#include "shm/reply_wait.h"
#include "tests/bench/failure.h"

namespace memfail::bench {
namespace {

// Numbers as the kernel has them: see kvm_vcpu.h.
constexpr unsigned long kGetXsave = 0x9000AEA4;
constexpr unsigned long kGetXsave2 = 0x9000AECF;
constexpr unsigned long kSetXsave = 0x5000AEA5;
constexpr int kPlainXsave = 4096;
static_assert(KVM_GET_XCRS == 0x8188AEA6 && KVM_SET_XCRS == 0x4188AEA7);
static_assert(KVM_GET_SREGS2 == 0x8140AECC && KVM_SET_SREGS2 == 0x4140AECD);
static_assert(KVM_GET_LAPIC == 0x8400AE8E);
static_assert(KVM_GET_DEBUGREGS == 0x8080AEA1 && KVM_SET_DEBUGREGS == 0x4080AEA2);
static_assert(KVM_GET_VCPU_EVENTS == 0x8040AE9F && KVM_SET_VCPU_EVENTS == 0x4040AEA0);

constexpr std::uint32_t kTscDeadline = 0x6E0;

// Read and written back at every synchronization, where KVM lists them.
constexpr std::uint32_t kEveryTime[] = {
    0x174,      0x175,      0x176,  // SYSENTER_CS, ESP, EIP
    0x277,                // PAT
    0xC0000081,           // STAR
    0xC0010117,           // VM_HSAVE_PA
    0xC0000103,           // TSC_AUX
    0x3B,                 // TSC_ADJUST
    0x1A0,                // MISC_ENABLE
    0x9E,                 // SMBASE
    0x34,                 // SMI_COUNT
    0x6E1,                // PKRS
    0xD90,                // BNDCFGS
    0xDA0,                // XSS
    0xE1,                 // UMWAIT_CONTROL
    0x48,                 // SPEC_CTRL
    0xC0000104,           // AMD64_TSC_RATIO
    0x122,                // TSX_CTRL
    0xC001011F,           // VIRT_SSBD
    0xC0010015,           // HWCR
    0xC0000083, 0xC0000102, 0xC0000084, 0xC0000082,  // CSTAR, KERNEL_GS_BASE, FMASK, LSTAR
};

// Read every time; written only at reset.
constexpr std::uint32_t kReadOnly[] = {
    kTscDeadline,
    0x3A,                    // FEATURE_CONTROL
    0x10,                    // TSC
    0x4B564D01,   0x4B564D00,  // KVM_SYSTEM_TIME_NEW, WALL_CLOCK_NEW
    0x4B564D06,   0x4B564D02,  // KVM_ASYNC_PF_INT, ASYNC_PF_EN
    0x4B564D04,   0x4B564D03,  // KVM_PV_EOI_EN, STEAL_TIME
    0x4B564D05,              // KVM_POLL_CONTROL
    0x1C4,        0x1C5,            // XFD, XFD_ERR
};

// The memory-type registers, read every time and never listed by KVM.
std::vector<std::uint32_t> memory_types() {
  std::vector<std::uint32_t> list{0x2FF, 0x250, 0x258, 0x259};
  for (std::uint32_t i = 0x268; i <= 0x26F; ++i) list.push_back(i);
  for (std::uint32_t i = 0x200; i <= 0x20F; ++i) list.push_back(i);
  return list;
}

std::vector<std::uint32_t> machine_check_registers() {
  std::vector<std::uint32_t> list{kMsrMcgStatus, kMsrMcgCtl};
  for (std::uint32_t i = 0; i < 4 * kBanks; ++i) list.push_back(kMsrBank0Ctl + i);
  return list;
}

// What QEMU puts into bank 9 for an action-required error.
constexpr std::uint32_t kBank = kMsrBank0Ctl + 4 * 9;
constexpr std::uint64_t kStatus = 0xBD80000000000134;
constexpr std::uint64_t kMcgStatus = 7;
constexpr std::uint64_t kAddress = 0x5000;
constexpr std::uint64_t kMisc = 0x8C;

}  // namespace

QemuSequence::QemuSequence(const KvmVcpu& vcpu) : vcpu_(vcpu) {
  has_sregs2_ = vcpu.check_extension(KVM_CAP_SREGS2) > 0;
  const int xsave2 = vcpu.check_extension(KVM_CAP_XSAVE2);
  has_xsave2_ = xsave2 > 0;
  xsave_.resize(static_cast<std::size_t>(std::max(xsave2, kPlainXsave)));
  list_registers();
}

bool QemuSequence::can_read(std::uint32_t index) const {
  MsrBlock one;
  one.add(index);
  return ::ioctl(vcpu_.fd(), kGetMsrs, &one) == 1;
}

bool QemuSequence::can_write(std::uint32_t index) const {
  MsrBlock one;
  one.add(index);
  if (::ioctl(vcpu_.fd(), kGetMsrs, &one) != 1) return false;
  return ::ioctl(vcpu_.fd(), kSetMsrs, &one) == 1;
}

void QemuSequence::list_registers() {
  const auto listed = vcpu_.msr_indices();
  const std::set<std::uint32_t> known(listed.begin(), listed.end());
  const auto read = [&](std::uint32_t index) { read_.add(index); };
  const auto read_and_write = [&](std::uint32_t index) {
    if (can_write(index)) {
      source_.push_back(read_.count);
      written_.add(index);
    }
    read_.add(index);
  };
  for (const std::uint32_t index : kEveryTime) {
    if (known.contains(index) && can_read(index)) read_and_write(index);
  }
  for (const std::uint32_t index : kReadOnly) {
    if (known.contains(index) && can_read(index)) read(index);
  }
  for (const std::uint32_t index : memory_types()) {
    if (can_read(index)) read(index);
  }
  for (const std::uint32_t index : machine_check_registers()) {
    if (can_read(index)) read_and_write(index);
  }
  has_deadline_ = known.contains(kTscDeadline) && can_write(kTscDeadline);
}

void QemuSequence::call(unsigned long request, void* argument) const {
  if (::ioctl(vcpu_.fd(), request, argument) < 0) {
    fail("ioctl " + std::to_string(request) + ": " + std::generic_category().message(errno));
  }
}

void QemuSequence::get_all() {
  call(KVM_GET_VCPU_EVENTS, &events_);
  call(KVM_GET_MP_STATE, &mp_state_);
  call(KVM_GET_REGS, &regs_);
  call(has_xsave2_ ? kGetXsave2 : kGetXsave, xsave_.data());
  call(KVM_GET_XCRS, &xcrs_);
  if (has_sregs2_) {
    call(KVM_GET_SREGS2, &sregs2_);
  } else {
    call(KVM_GET_SREGS, &sregs_);
  }
  call(kGetMsrs, &read_);
  call(KVM_GET_LAPIC, &lapic_);
  call(KVM_GET_DEBUGREGS, &debug_);
}

void QemuSequence::change() {
  for (std::size_t i = 0; i < written_.count; ++i) {
    kvm_msr_entry& entry = written_.entries[i];
    entry.data = read_.entries[source_[i]].data;
    if (entry.index == kMsrMcgStatus) entry.data = kMcgStatus;
    if (entry.index == kBank + 1) entry.data = kStatus;
    if (entry.index == kBank + 2) entry.data = kAddress;
    if (entry.index == kBank + 3) entry.data = kMisc;
  }
  events_.exception.injected = 1;
  events_.exception.nr = 18;
}

void QemuSequence::put_all() {
  if (has_sregs2_) {
    call(KVM_SET_SREGS2, &sregs2_);
  } else {
    call(KVM_SET_SREGS, &sregs_);
  }
  call(KVM_SET_REGS, &regs_);
  call(kSetXsave, xsave_.data());
  call(KVM_SET_XCRS, &xcrs_);
  call(kSetMsrs, &written_);
  call(KVM_SET_VCPU_EVENTS, &events_);
  if (has_deadline_) {
    MsrBlock deadline;
    deadline.add(kTscDeadline);
    call(kSetMsrs, &deadline);
  }
  call(KVM_SET_DEBUGREGS, &debug_);
}

std::uint64_t QemuSequence::round() {
  settle();
  vcpu_.run_guest();
  const std::uint64_t begun = shm::monotonic_ns();
  get_all();
  change();
  put_all();
  const std::uint64_t ns = shm::monotonic_ns() - begun;
  if (!vcpu_.machine_check_queued()) fail("the sequence like QEMU's did not inject");
  vcpu_.clear_machine_check();
  return ns;
}

}  // namespace memfail::bench
