// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/vcpu_setup.h"

#include "vmm_shim/reference/exit.h"
#include "vmm_shim/reference/guest.h"

namespace memfail::reference {
namespace {

kvm_segment segment(std::uint64_t base, std::uint8_t type) {
  kvm_segment result{};
  result.base = base;
  result.limit = 0xffff;
  result.selector = static_cast<std::uint16_t>(base >> 4);
  result.type = type;
  result.present = 1;
  result.s = 1;
  return result;
}

// A base above 1 MiB and a limit of 4 GiB: no real-mode selector says that, but
// the hidden part of a segment register can ("unreal mode").
kvm_segment test_region_segment() {
  kvm_segment result = segment(0, 3);
  result.base = GUEST_TEST_REGION;
  result.limit = 0xffffffff;
  result.g = 1;
  return result;
}

void set_segments(kvm_sregs& sregs, std::uint64_t vcpu_page) {
  sregs.cs = segment(0, 11);
  sregs.ds = sregs.ss = segment(vcpu_page, 3);
  sregs.es = sregs.gs = segment(0, 3);
  sregs.fs = test_region_segment();
  sregs.idt.base = 0;
  sregs.idt.limit = 0x3ff;
}

// Bank controls and MCG_CTL all ones, as firmware does; MCG_STATUS 0. What the
// banks hold survives a reset, as on real hardware.
void enable_banks(int vcpu_fd) {
  MsrList<kBanks + 2> list;
  list.entries[0] = {kMsrMcgStatus, 0, 0};
  list.entries[1] = {kMsrMcgCtl, 0, ~std::uint64_t{0}};
  for (unsigned bank = 0; bank < kBanks; ++bank) {
    list.entries[bank + 2] = {kMsrMc0Ctl + 4 * bank, 0, ~std::uint64_t{0}};
  }
  if (must(ioctl(vcpu_fd, kSetMsrs, &list), "KVM_SET_MSRS") != static_cast<int>(list.count)) {
    die("KVM_SET_MSRS refused a machine-check register");
  }
}

std::uint64_t read_msr(int vcpu_fd, std::uint32_t index) {
  MsrList<1> list;
  list.entries[0].index = index;
  if (must(ioctl(vcpu_fd, kGetMsrs, &list), "KVM_GET_MSRS") != 1) die("KVM_GET_MSRS: refused");
  return list.entries[0].data;
}

kvm_vcpu_events without_exception(int vcpu_fd) {
  kvm_vcpu_events events{};
  must(ioctl(vcpu_fd, KVM_GET_VCPU_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
  events.exception = {};
  return events;
}

void set_events(int vcpu_fd, const kvm_vcpu_events& events) {
  must(ioctl(vcpu_fd, KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS");
}

void set_mp_state(int vcpu_fd, bool started) {
  kvm_mp_state state{};
  state.mp_state = started ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
  must(ioctl(vcpu_fd, KVM_SET_MP_STATE, &state), "KVM_SET_MP_STATE");
}

}  // namespace

void write_msr(int vcpu_fd, std::uint32_t index, std::uint64_t value) {
  MsrList<1> list;
  list.entries[0] = {index, 0, value};
  if (must(ioctl(vcpu_fd, kSetMsrs, &list), "KVM_SET_MSRS") != 1) die("KVM_SET_MSRS: refused");
}

void queue_exception(int vcpu_fd, std::uint8_t vector) {
  kvm_vcpu_events events = without_exception(vcpu_fd);
  events.exception.injected = 1;
  events.exception.nr = vector;
  set_events(vcpu_fd, events);
}

std::uint64_t setup_features(const Machine& machine, int vcpu_fd, const CpuModel& model,
                             std::uint64_t mcg_cap) {
  CpuidList cpuid = machine.supported_cpuid();
  apply(model, cpuid);
  must(ioctl(vcpu_fd, kSetCpuid2, &cpuid), "KVM_SET_CPUID2");
  must(ioctl(vcpu_fd, KVM_X86_SETUP_MCE, &mcg_cap), "KVM_X86_SETUP_MCE");
  return read_msr(vcpu_fd, kMsrMcgCap);
}

void reset_registers(const Machine& machine, int vcpu_fd, const VcpuSetup& setup) {
  enable_banks(vcpu_fd);
  set_events(vcpu_fd, without_exception(vcpu_fd));
  if (machine.has_irqchip()) set_mp_state(vcpu_fd, setup.started);
  if (!setup.started) return;  // registers stay as INIT leaves them

  kvm_sregs sregs{};
  must(ioctl(vcpu_fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
  set_segments(sregs, GUEST_VCPU_PAGES + setup.index * GUEST_VCPU_PAGE_SIZE);
  sregs.cr4 = setup.mce_enabled ? kCr4Mce : 0;
  must(ioctl(vcpu_fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");

  kvm_regs regs{};
  regs.rip = GUEST_CODE;
  regs.rflags = 2;  // the bit that is always set; interrupts off
  regs.rsp = GUEST_VCPU_PAGE_SIZE;
  must(ioctl(vcpu_fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

bool can_offer(const Machine& machine, int vcpu_fd, std::uint64_t mcg_cap) {
  const std::uint64_t banks = mcg_cap & 0xff;
  const std::uint64_t missing = (mcg_cap - banks) & ~machine.mce_capabilities();
  return missing == 0 && ioctl(vcpu_fd, KVM_X86_SETUP_MCE, &mcg_cap) == 0;
}

}  // namespace memfail::reference
