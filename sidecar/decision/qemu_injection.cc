// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/qemu_injection.h"

#include <array>

#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/vcpu_state.h"

namespace memfail::decision {
namespace {

using wire::Reason;
using wire::Verdict;

constexpr Is kAny = Is::kAny;
constexpr Is kNo = Is::kNo;
constexpr Is kYes = Is::kYes;

// The two "off" rows are silent in QEMU; here they have a reason, and an event.
constexpr auto kRows = std::to_array<InjectionRow>({
    // AR  UC    MCIP  MCG_CTL MCi_CTL CR4.MCE
    //                 off     off
    {"the record has no AR bit (AMD's never has), and MCIP is set",
     {kNo, kAny, kYes, kAny, kAny, kAny},
     {Verdict::ignore, Reason::mce_in_progress}},
    {"the record is uncorrected, and MCG_CTL is not all ones",
     {kAny, kYes, kAny, kYes, kAny, kAny},
     {Verdict::ignore, Reason::mcg_ctl_off}},
    {"the record is uncorrected, and MCi_CTL of its bank is not all ones",
     {kAny, kYes, kAny, kAny, kYes, kAny},
     {Verdict::ignore, Reason::bank_ctl_off}},
    {"the record is uncorrected, and CR4.MCE is clear",
     {kAny, kYes, kAny, kAny, kAny, kNo},
     {Verdict::reset, Reason::mce_not_enabled}},
    {"the record is uncorrected, and MCIP is set",
     {kAny, kYes, kYes, kAny, kAny, kAny},
     {Verdict::reset, Reason::previous_mce_in_progress}},
    {"in all other cases",
     {kAny, kAny, kAny, kAny, kAny, kAny},
     {Verdict::inject, Reason::guest_memory}},
});

bool matches(Is wanted, bool actual) { return wanted == kAny || (wanted == kYes) == actual; }

bool matches(const InjectionConditions& asks, const MachineCheck& record, const VcpuState& vcpu) {
  return matches(asks.record_ar, (record.status & kStatusAr) != 0) &&
         matches(asks.record_uc, (record.status & kStatusUc) != 0) &&
         matches(asks.mcip, vcpu.mcip) && matches(asks.mcg_ctl_off, vcpu.mcg_ctl_off) &&
         matches(asks.bank_ctl_off, vcpu.bank_ctl_off) && matches(asks.cr4_mce, vcpu.cr4_mce);
}

}  // namespace

std::span<const InjectionRow> qemu_injection_rows() { return kRows; }

std::optional<std::size_t> qemu_injection_row(const GuestProfile& guest, const MachineCheck& record,
                                              const wire::SnapshotLine& snapshot) {
  if (!knows_injection(guest, snapshot, (record.status & kStatusUc) != 0)) {
    return std::nullopt;
  }
  const VcpuState vcpu = vcpu_state(guest, snapshot, record.bank);
  std::size_t at = 0;
  while (!matches(kRows[at].asks, record, vcpu)) ++at;
  return at;  // the last row holds always
}

Judgement qemu_injection(const GuestProfile& guest, const MachineCheck& record,
                         const wire::SnapshotLine& snapshot) {
  const auto row = qemu_injection_row(guest, record, snapshot);
  return row ? kRows[*row].judgement : Judgement{Verdict::none, Reason::no_snapshot};
}

}  // namespace memfail::decision
