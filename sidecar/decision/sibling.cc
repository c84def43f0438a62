// SPDX-License-Identifier: BSD-3-Clause
//
// decide_sibling(): the other vCPUs of a broadcast. The verdict names the rule;
// each sibling's own thread applies it to its own snapshot.
#include "sidecar/decision/decide.h"
#include "sidecar/decision/free_bank.h"
#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/qemu_injection.h"
#include "sidecar/decision/vcpu_state.h"

namespace memfail::decision {
namespace {

using wire::Reason;
using wire::Verdict;

Reason reason_of(BankSearch search) {
  switch (search) {
    case BankSearch::kAllOff:
      return Reason::bank_ctl_off;
    case BankSearch::kNoneFree:
      return Reason::no_free_bank;
    case BankSearch::kFound:
      break;
  }
  return Reason::none;
}

// Why a sibling is left alone: KVM would drop the record, or make a triple fault
// of it and so reset the whole VM for a bystander's sake.
Reason why_skipped(const GuestProfile& guest, const wire::SnapshotLine& snapshot) {
  if (!knows_readiness(guest, snapshot)) {
    return Reason::no_snapshot;
  }
  const VcpuState vcpu = vcpu_state(guest, snapshot, kSiblingBank);
  if (vcpu.triple_fault) {
    return Reason::triple_fault_pending;
  }
  if (vcpu.double_fault) {
    return Reason::double_fault_queued;
  }
  // A vCPU that has not started has CR4 = 0, and in SMM CR4.MCE reads 0.
  if (!vcpu.started || vcpu.in_smm || !vcpu.cr4_mce) {
    return Reason::mce_not_enabled;
  }
  if (vcpu.mcip || vcpu.mc_queued) {
    return Reason::mce_in_progress;
  }
  if (vcpu.mcg_ctl_off) {
    return Reason::mcg_ctl_off;
  }
  return reason_of(sibling_bank(guest, snapshot).search);
}

Judgement judge_ready(const GuestProfile& guest, const wire::SnapshotLine& snapshot) {
  const Reason reason = why_skipped(guest, snapshot);
  return reason == Reason::none ? Judgement{Verdict::inject, Reason::guest_memory}
                                : Judgement{Verdict::ignore, reason};
}

// Nothing was lost on this vCPU: one that cannot be read is skipped.
Judgement judge_qemu(const GuestProfile& guest, const wire::SnapshotLine& snapshot) {
  const Judgement judgement = qemu_injection(guest, sibling_record(), snapshot);
  return judgement.verdict == Verdict::none ? Judgement{Verdict::ignore, judgement.reason}
                                            : judgement;
}

Judgement judge(wire::SiblingRule rule, const GuestProfile& guest,
                const wire::SnapshotLine& snapshot) {
  switch (rule) {
    case wire::SiblingRule::broadcast_qemu:
      return judge_qemu(guest, snapshot);
    case wire::SiblingRule::broadcast_ready:
      return judge_ready(guest, snapshot);
    case wire::SiblingRule::none:
      break;
  }
  return {};
}

}  // namespace

Decision decide_sibling(wire::SiblingRule rule, const GuestProfile& guest,
                        const wire::SnapshotLine& snapshot) {
  const Judgement judgement = judge(rule, guest, snapshot);
  Decision decision;
  decision.verdict = judgement.verdict;
  decision.reason = judgement.reason;
  if (judgement.verdict == Verdict::inject) {
    const bool ready = rule == wire::SiblingRule::broadcast_ready;
    decision.record = sibling_record(ready ? sibling_bank(guest, snapshot).number : kSiblingBank);
  }
  return decision;
}

}  // namespace memfail::decision
