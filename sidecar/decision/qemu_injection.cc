// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/qemu_injection.h"

#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/vcpu_state.h"

namespace memfail::decision {
namespace {

using wire::Reason;
using wire::Verdict;

// A column of the table: what a condition must be for the row to hold.
enum Is : std::uint8_t { kAny, kNo, kYes };

struct Rule {
  Is record_ar, record_uc, mcip, mcg_ctl_off, bank_ctl_off, cr4_mce;
  Judgement judgement;
};

// The first row that holds decides. The two "off" rows are silent in QEMU; here
// they have a reason, and an event.
constexpr Rule kRules[] = {
    // AR   UC    MCIP  MCG_CTL MCi_CTL CR4.MCE
    //                  off     off
    {kNo, kAny, kYes, kAny, kAny, kAny, {Verdict::ignore, Reason::mce_in_progress}},
    {kAny, kYes, kAny, kYes, kAny, kAny, {Verdict::ignore, Reason::mcg_ctl_off}},
    {kAny, kYes, kAny, kAny, kYes, kAny, {Verdict::ignore, Reason::bank_ctl_off}},
    {kAny, kYes, kAny, kAny, kAny, kNo, {Verdict::reset, Reason::mce_not_enabled}},
    {kAny, kYes, kYes, kAny, kAny, kAny, {Verdict::reset, Reason::previous_mce_in_progress}},
    {kAny, kAny, kAny, kAny, kAny, kAny, {Verdict::inject, Reason::guest_memory}},
};

bool matches(Is wanted, bool actual) { return wanted == kAny || (wanted == kYes) == actual; }

bool matches(const Rule& rule, const MachineCheck& record, const VcpuState& vcpu) {
  return matches(rule.record_ar, (record.status & kStatusAr) != 0) &&
         matches(rule.record_uc, (record.status & kStatusUc) != 0) &&
         matches(rule.mcip, vcpu.mcip) && matches(rule.mcg_ctl_off, vcpu.mcg_ctl_off) &&
         matches(rule.bank_ctl_off, vcpu.bank_ctl_off) && matches(rule.cr4_mce, vcpu.cr4_mce);
}

}  // namespace

Judgement qemu_injection(const GuestProfile& guest, const MachineCheck& record,
                         const wire::SnapshotLine& snapshot) {
  if (!knows_injection(guest, snapshot, (record.status & kStatusUc) != 0)) {
    return {Verdict::none, Reason::no_snapshot};
  }
  const VcpuState vcpu = vcpu_state(guest, snapshot, record.bank);
  for (const Rule& rule : kRules) {
    if (matches(rule, record, vcpu)) {
      return rule.judgement;
    }
  }
  return {};
}

}  // namespace memfail::decision
