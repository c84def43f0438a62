// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/qemu_policy.h"

#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/qemu_injection.h"
#include "sidecar/decision/vcpu_state.h"

namespace memfail::decision {
namespace {

using wire::Reason;
using wire::Verdict;

// Why the address layer does not get to an injection. QEMU has one branch for
// all of these; the reason names the first that applies.
Reason obstacle(const Input& input) {
  switch (input.where.address) {
    case AddressClass::kNoAddress:
      return Reason::no_address;
    case AddressClass::kVmmMemory:
      return Reason::vmm_memory;
    case AddressClass::kGuestRamUnmapped:
      return Reason::guest_memory_unmapped;
    case AddressClass::kGuestRam:
      break;
  }
  // QEMU's own copy of MCG_CAP: kvm_amd hides SER_P from every guest, and QEMU
  // never reads it back.
  const bool ser_p = (input.guest.mcg_cap_configured & kMcgCapSerP) != 0;
  return ser_p ? Reason::none : Reason::no_software_recovery;
}

// No injection: an access that cannot be resumed ends the VMM, anything else
// goes unnoticed.
Judgement give_up(const Input& input, Reason reason) {
  const bool action_required = input.severity == Severity::kActionRequired;
  return {action_required ? Verdict::abort : Verdict::ignore, reason};
}

Judgement judge(const Input& input, const MachineCheck& record) {
  const Reason reason = obstacle(input);
  if (reason != Reason::none) {
    return give_up(input, reason);
  }
  const Judgement judgement = qemu_injection(input.guest, record, input.snapshot);
  return judgement.verdict == Verdict::none ? give_up(input, judgement.reason) : judgement;
}

// QEMU broadcasts after {guest, reset} too; a local machine check stays local.
wire::SiblingRule siblings(const Input& input, const MachineCheck& record, Verdict verdict) {
  const bool acted = verdict == Verdict::inject || verdict == Verdict::reset;
  const bool local = (record.mcg_status & kMcgStatusLmce) != 0;
  return acted && !local && broadcasts(input.guest) ? wire::SiblingRule::broadcast_qemu
                                                    : wire::SiblingRule::none;
}

}  // namespace

MachineCheck qemu_record(const Input& input) {
  const VcpuState vcpu = vcpu_state(input.guest, input.snapshot, kQemuBank);
  return page_record(input.guest.vendor, input.severity, vcpu.lmce, kQemuBank, input.where.gpa);
}

Decision decide_qemu(const Input& input) {
  const MachineCheck record = qemu_record(input);
  const Judgement judgement = judge(input, record);
  Decision decision;
  decision.verdict = judgement.verdict;
  decision.reason = judgement.reason;
  decision.siblings = siblings(input, record, judgement.verdict);
  decision.gpa = input.where.gpa;
  if (judgement.verdict == Verdict::inject) {
    decision.record = record;
  }
  return decision;
}

}  // namespace memfail::decision
