// SPDX-License-Identifier: BSD-3-Clause
//
// KVM_X86_SET_MCE answers 0 whether it injected, dropped, or made a triple fault of
// it. So the state is read before, and again after.
#include "vmm_shim/snapshot.h"

#include <algorithm>

#include "sidecar/decision/machine_check.h"
#include "vmm_shim/kvm.h"

namespace memfail::shim {
namespace {

constexpr std::uint32_t kRunFlagSmm = 1;        // KVM_RUN_X86_SMM
constexpr std::uint32_t kRunFlagGuestMode = 4;  // KVM_RUN_X86_GUEST_MODE, Linux 6.11
constexpr std::uint32_t kEventsSmm = 8;         // KVM_VCPUEVENT_VALID_SMM
constexpr std::uint32_t kEventsTripleFault = 0x20;  // KVM_VCPUEVENT_VALID_TRIPLE_FAULT
constexpr std::uint64_t kCmciEnable = std::uint64_t{1} << 30;  // MCi_CTL2
constexpr std::uint64_t kAllOnes = ~std::uint64_t{0};

struct Draft {
  unsigned valid = 0;
  unsigned flags = 0;
  std::uint32_t bank_val = 0;
  std::uint32_t bank_uc = 0;
  std::uint32_t bank_ctl_off = 0;
  std::uint32_t bank_cmci_on = 0;
  std::uint8_t queued = wire::kNoException;
  std::uint8_t mp_state = 0;
  std::uint64_t mcg_status = 0;

  void has(wire::SnapshotField field) { valid |= static_cast<unsigned>(field); }
  void set(wire::SnapshotFlag flag, bool on) {
    if (on) flags |= static_cast<unsigned>(flag);
  }
};

void read_mp_state(int fd, Draft& draft) {
  kvm_mp_state state{};
  if (::ioctl(fd, kGetMpState, &state) != 0) return;
  draft.mp_state = static_cast<std::uint8_t>(state.mp_state);
  draft.has(wire::SnapshotField::mp_state);
}

std::uint32_t bank_count(std::uint64_t mcg_cap) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(mcg_cap & decision::kMcgCapBanks, decision::kMaxBanks));
}

// One call for MCG_STATUS, MCG_CTL and every bank's CTL and STATUS.
void read_banks(int fd, std::uint64_t mcg_cap, Draft& draft) {
  const std::uint32_t banks = bank_count(mcg_cap);
  const bool has_ctl = (mcg_cap & decision::kMcgCapCtlP) != 0;
  MsrList<2 + 2 * decision::kMaxBanks> list;
  list.add(kMsrMcgStatus);
  if (has_ctl) list.add(kMsrMcgCtl);
  const std::size_t first = list.size();
  for (std::uint32_t bank = 0; bank < banks; ++bank) {
    list.add(kMsrBank0Ctl + 4 * bank);
    list.add(kMsrBank0Ctl + 4 * bank + 1);
  }
  if (!list.read(fd)) return;
  draft.mcg_status = list[0];
  draft.set(wire::SnapshotFlag::mcg_ctl_ok, !has_ctl || list[1] == kAllOnes);
  for (std::uint32_t bank = 0; bank < banks; ++bank) {
    const std::uint64_t status = list[first + std::size_t{2} * bank + 1];
    const std::uint32_t bit = 1U << bank;
    if (list[first + std::size_t{2} * bank] != kAllOnes) draft.bank_ctl_off |= bit;
    if ((status & decision::kStatusVal) != 0) draft.bank_val |= bit;
    if ((status & decision::kStatusUc) != 0) draft.bank_uc |= bit;
  }
  draft.has(wire::SnapshotField::mcg_status);
  draft.has(wire::SnapshotField::mcg_ctl);
  draft.has(wire::SnapshotField::banks);
}

// Its own call: KVM refuses the register without MCG_LMCE_P, and a refused one ends
// a list.
void read_lmce(int fd, std::uint64_t mcg_cap, Draft& draft) {
  if ((mcg_cap & decision::kMcgCapLmceP) != 0) {
    MsrList<1> list;
    list.add(kMsrMcgExtCtl);
    if (!list.read(fd)) return;
    draft.set(wire::SnapshotFlag::lmce_on, (list[0] & 1) != 0);
  }
  draft.has(wire::SnapshotField::lmce);
}

// Likewise: the CTL2 registers are there with MCG_CMCI_P only.
void read_cmci(int fd, std::uint64_t mcg_cap, Draft& draft) {
  if ((mcg_cap & decision::kMcgCapCmciP) == 0) return;
  const std::uint32_t banks = bank_count(mcg_cap);
  MsrList<decision::kMaxBanks> list;
  for (std::uint32_t bank = 0; bank < banks; ++bank) list.add(kMsrBank0Ctl2 + bank);
  if (!list.read(fd)) return;
  for (std::uint32_t bank = 0; bank < banks; ++bank) {
    if ((list[bank] & kCmciEnable) != 0) draft.bank_cmci_on |= 1U << bank;
  }
}

void read_cr4(int fd, Draft& draft) {
  kvm_sregs sregs{};
  if (::ioctl(fd, kGetSregs, &sregs) != 0) return;
  draft.set(wire::SnapshotFlag::cr4_mce, (sregs.cr4 & kCr4Mce) != 0);
  draft.has(wire::SnapshotField::cr4);
}

void read_events(int fd, Draft& draft) {
  kvm_vcpu_events events{};
  if (::ioctl(fd, kGetVcpuEvents, &events) != 0) return;
  // Without KVM_CAP_EXCEPTION_PAYLOAD a queued exception reads as injected.
  const bool queued = events.exception.injected != 0 || events.exception.pending != 0;
  draft.queued = queued ? events.exception.nr : wire::kNoException;
  draft.has(wire::SnapshotField::events);
  if ((events.flags & kEventsSmm) != 0) {
    draft.set(wire::SnapshotFlag::in_smm, events.smi.smm != 0);
    draft.has(wire::SnapshotField::smm);
  }
  if ((events.flags & kEventsTripleFault) != 0) {
    draft.set(wire::SnapshotFlag::triple_fault, events.triple_fault.pending != 0);
    draft.has(wire::SnapshotField::triple_fault);
  }
}

void read_run_flags(const memfail_lane& lane, Draft& draft) {
  if ((lane.run->flags & kRunFlagSmm) != 0) {
    draft.set(wire::SnapshotFlag::in_smm, true);
    draft.has(wire::SnapshotField::smm);
  }
  if ((lane.run->flags & kRunFlagGuestMode) != 0) {
    draft.set(wire::SnapshotFlag::in_guest_mode, true);
    draft.has(wire::SnapshotField::guest_mode);
  }
}

constexpr std::uint8_t kDoubleFaultVector = 8;

bool had(const wire::SnapshotLine& line, wire::SnapshotFlag flag) {
  return (line.flags() & static_cast<unsigned>(flag)) != 0;
}

wire::Delivered judge(const decision::MachineCheck& record, const wire::SnapshotLine& before,
                      const Draft& after, std::uint64_t status, std::uint64_t address) {
  const bool uc = (record.status & decision::kStatusUc) != 0;
  // KVM drops before it looks at MCIP and CR4.
  const bool off = uc && (!had(before, wire::SnapshotFlag::mcg_ctl_ok) ||
                          (before.bank_ctl_off() >> record.bank & 1) != 0);
  if (had(before, wire::SnapshotFlag::in_guest_mode)) return wire::Delivered::unverified;
  if ((after.flags & static_cast<unsigned>(wire::SnapshotFlag::triple_fault)) != 0) {
    return wire::Delivered::triple_fault;
  }
  // OVER is KVM's own addition where the bank was valid.
  const bool written =
      (status & ~decision::kStatusOver) == record.status && address == record.address;
  if (!uc) return written ? wire::Delivered::delivered : wire::Delivered::dropped;
  // A kernel that does not show a pending triple fault: its own rule says when.
  const bool refused =
      record.mcg_status != 0 && ((before.mcg_status() & decision::kMcgStatusMcip) != 0 ||
                                 !had(before, wire::SnapshotFlag::cr4_mce) ||
                                 before.queued_exception() == kDoubleFaultVector);
  if (refused && !off) return wire::Delivered::triple_fault;
  // UCNA: MCG_STATUS cleared, no exception.
  if (record.mcg_status == 0) {
    return written && after.mcg_status == 0 ? wire::Delivered::delivered : wire::Delivered::dropped;
  }
  const bool queued = after.queued == kMachineCheckVector && after.mcg_status == record.mcg_status;
  return written && queued ? wire::Delivered::delivered : wire::Delivered::dropped;
}

// KVM drops an uncorrected record whose reporting the guest switched off, for all banks
// or for this one.
wire::Reason why_dropped(const decision::MachineCheck& record, std::uint64_t mcg_ctl,
                         std::uint64_t bank_ctl) {
  if ((record.status & decision::kStatusUc) == 0) return wire::Reason::dropped_by_kvm;
  if (mcg_ctl != kAllOnes) return wire::Reason::mcg_ctl_off;
  return bank_ctl != kAllOnes ? wire::Reason::bank_ctl_off : wire::Reason::dropped_by_kvm;
}

}  // namespace

wire::SnapshotLine take_snapshot(const memfail_lane& lane) {
  const memfail_shim& shim = *lane.shim;
  Draft draft;
  read_mp_state(lane.vcpu_fd, draft);  // first: it executes a pending INIT
  read_banks(lane.vcpu_fd, shim.profile.mcg_cap_kvm, draft);
  read_lmce(lane.vcpu_fd, shim.profile.mcg_cap_kvm, draft);
  read_cmci(lane.vcpu_fd, shim.profile.mcg_cap_kvm, draft);
  read_cr4(lane.vcpu_fd, draft);
  read_events(lane.vcpu_fd, draft);
  read_run_flags(lane, draft);
  return {0,
          0,
          static_cast<std::uint16_t>(draft.valid),
          static_cast<std::uint16_t>(draft.flags),
          draft.bank_val,
          draft.bank_uc,
          draft.bank_ctl_off,
          draft.queued,
          draft.mp_state,
          static_cast<std::uint16_t>(lane.vcpu),
          draft.mcg_status,
          shim.regions.generation.load(std::memory_order_acquire),
          shim.guest_epoch.load(std::memory_order_acquire),
          draft.bank_cmci_on,
          0,
          0};
}

ReadBack read_back(const memfail_lane& lane, const decision::MachineCheck& record,
                   const wire::SnapshotLine& before) {
  const std::uint32_t bank = kMsrBank0Ctl + 4 * record.bank;
  const bool has_ctl = (lane.shim->profile.mcg_cap_kvm & decision::kMcgCapCtlP) != 0;
  MsrList<5> list;
  list.add(kMsrMcgStatus);
  for (std::uint32_t i = 0; i < 3; ++i) list.add(bank + i);
  if (has_ctl) list.add(kMsrMcgCtl);
  ReadBack unread;
  unread.delivered = wire::Delivered::unverified;
  if (!list.read(lane.vcpu_fd)) return unread;
  Draft after;
  read_events(lane.vcpu_fd, after);
  after.mcg_status = list[0];
  return {judge(record, before, after, list[2], list[3]), list[2], list[0],
          why_dropped(record, has_ctl ? list[4] : kAllOnes, list[1])};
}

}  // namespace memfail::shim
