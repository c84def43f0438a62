// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/recommended_policy.h"

#include <array>

#include "sidecar/decision/free_bank.h"
#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/vcpu_state.h"

namespace memfail::decision {

// What the rows look at.
struct Facts {
  const Rules& rules;
  const Input& input;
  FreeBank bank;
  VcpuState vcpu;  // of that bank
  bool nested;     // CR4 and SMM are a nested guest's: they say nothing of this one
};

namespace {

using wire::Reason;
using wire::Verdict;

// CPUID 0x80000007 EBX: MCA overflow recovery and SUCCOR (AMD APM vol. 3).
constexpr std::uint32_t kAmdRecovery = 3;

bool is_amd(const Facts& f) { return f.input.guest.vendor == wire::Vendor::amd; }

bool has_no_address(const Facts& f) { return f.input.where.address == AddressClass::kNoAddress; }
bool is_vmm_memory(const Facts& f) { return f.input.where.address == AddressClass::kVmmMemory; }
bool is_unmapped(const Facts& f) {
  return f.input.where.address == AddressClass::kGuestRamUnmapped;
}
bool is_told(const Facts& f) { return f.input.history.guest_told; }
bool remembers_all(const Facts& f) { return f.rules.optional == OptionalDelivery::kRemember; }

// Intel's SER_P, as the VMM configured it; who is not AMD gets Intel's records.
bool lacks_software_recovery(const Facts& f) {
  return !is_amd(f) && (f.input.guest.mcg_cap_configured & kMcgCapSerP) == 0;
}
bool lacks_amd_recovery(const Facts& f) {
  return is_amd(f) && (f.input.guest.cpuid_80000007_ebx & kAmdRecovery) != kAmdRecovery;
}

bool is_unknown(const Facts& f) { return !knows_readiness(f.input.guest, f.input.snapshot); }
bool shuts_down(const Facts& f) { return f.vcpu.triple_fault; }
bool gets_a_double_fault(const Facts& f) { return f.vcpu.double_fault; }
bool has_not_seen_the_last(const Facts& f) { return f.vcpu.mc_queued; }
bool makes_no_progress(const Facts& f) { return f.input.history.repeats >= f.rules.repeat_limit; }
bool is_in_smm(const Facts& f) { return f.vcpu.in_smm && !f.nested; }
bool has_mcg_ctl_off(const Facts& f) { return f.vcpu.mcg_ctl_off; }
bool takes_no_machine_check(const Facts& f) {
  return !f.vcpu.started || (!f.vcpu.cr4_mce && !f.nested);
}
bool handles_one(const Facts& f) { return f.vcpu.mcip; }
bool has_all_banks_off(const Facts& f) { return f.bank.search == BankSearch::kAllOff; }
bool has_no_free_bank(const Facts& f) { return f.bank.search == BankSearch::kNoneFree; }
bool wants_it_deferred(const Facts& f) {
  const std::uint32_t bit = std::uint32_t{1} << f.bank.number;
  return f.rules.optional == OptionalDelivery::kDeferred &&
         (f.input.snapshot.bank_cmci_on() & bit) != 0;
}
bool always(const Facts&) { return true; }

constexpr auto kRows = std::to_array<RecommendedRow>({
    {"the kernel could not name an address", has_no_address,  //
     Then::kAbort, Then::kIgnore, Reason::no_address, Reason::no_address},
    {"the page is the VMM's own", is_vmm_memory,  //
     Then::kAbort, Then::kIgnore, Reason::vmm_memory, Reason::vmm_memory},
    {"the page is guest RAM that has no guest physical address now", is_unmapped,  //
     Then::kUntold, Then::kIgnore, Reason::guest_memory_unmapped, Reason::guest_memory_unmapped},
    {"the guest was told of the page before", is_told,  //
     Then::kNext, Then::kIgnore, Reason::none, Reason::already_told},
    {"the policy remembers what may wait", remembers_all,  //
     Then::kNext, Then::kIgnore, Reason::none, Reason::policy},
    {"an AMD guest", is_amd,  //
     Then::kNext, Then::kIgnore, Reason::none, Reason::untouched},
    {"not an AMD guest, and MCG_SER_P is not configured", lacks_software_recovery,  //
     Then::kUntold, Then::kIgnore, Reason::no_software_recovery, Reason::no_software_recovery},
    {"an AMD guest without overflow recovery and SUCCOR", lacks_amd_recovery,  //
     Then::kUntold, Then::kIgnore, Reason::no_recovery, Reason::no_recovery},
    {"the vCPU's machine-check state could not be read", is_unknown,  //
     Then::kUntold, Then::kIgnore, Reason::no_snapshot, Reason::no_snapshot},
    {"a triple fault is pending on the vCPU", shuts_down,  //
     Then::kRetry, Then::kIgnore, Reason::triple_fault_pending, Reason::triple_fault_pending},
    {"a #DF is queued: one more exception on top is a triple fault", gets_a_double_fault,  //
     Then::kUntold, Then::kIgnore, Reason::double_fault_queued, Reason::double_fault_queued},
    {"a #MC is still queued: the guest has not seen the previous one", has_not_seen_the_last,  //
     Then::kRetry, Then::kIgnore, Reason::mce_pending, Reason::mce_pending},
    {"the page was met repeat_limit times within repeat_seconds", makes_no_progress,  //
     Then::kNoProgress, Then::kNext, Reason::no_progress, Reason::none},
    {"the vCPU is in SMM", is_in_smm,  //
     Then::kUntold, Then::kIgnore, Reason::in_smm, Reason::in_smm},
    {"MCG_CTL is not all ones", has_mcg_ctl_off,  //
     Then::kUntold, Then::kIgnore, Reason::mcg_ctl_off, Reason::mcg_ctl_off},
    {"CR4.MCE is clear, or the vCPU has not started", takes_no_machine_check,  //
     Then::kUntold, Then::kIgnore, Reason::mce_not_enabled, Reason::mce_not_enabled},
    {"MCIP is set and nothing is queued: the guest is inside its handler", handles_one,  //
     Then::kUntold, Then::kIgnore, Reason::previous_mce_in_progress, Reason::mce_in_progress},
    {"no bank has MCi_CTL all ones", has_all_banks_off,  //
     Then::kUntold, Then::kIgnore, Reason::bank_ctl_off, Reason::bank_ctl_off},
    {"each bank that is on holds a valid record", has_no_free_bank,  //
     Then::kUntold, Then::kIgnore, Reason::no_free_bank, Reason::no_free_bank},
    {"the policy defers, and the guest enabled CMCI for the bank", wants_it_deferred,  //
     Then::kNext, Then::kDefer, Reason::none, Reason::guest_memory},
    {"the guest can take it", always,  //
     Then::kInject, Then::kInject, Reason::guest_memory, Reason::guest_memory},
});

Then then(const RecommendedRow& row, Severity severity) {
  return severity == Severity::kActionRequired ? row.required : row.optional;
}

std::size_t first_row(const Facts& facts) {
  std::size_t at = 0;
  while (then(kRows[at], facts.input.severity) == Then::kNext || !kRows[at].holds(facts)) ++at;
  return at;  // the last row holds always
}

Facts facts_of(const Rules& rules, const Input& input) {
  const FreeBank bank = free_bank(input.guest, input.snapshot);
  return {rules, input, bank, vcpu_state(input.guest, input.snapshot, bank.number),
          in_nested_guest(input.snapshot)};
}

Verdict verdict_of(Then then, const Rules& rules) {
  switch (then) {
    case Then::kIgnore:
      return Verdict::ignore;
    case Then::kRetry:
      return Verdict::retry;
    case Then::kUntold:
      return rules.untold;
    case Then::kNoProgress:
      return rules.no_progress;
    case Then::kAbort:
      return Verdict::abort;
    case Then::kDefer:
      return Verdict::inject_deferred;
    case Then::kInject:
      return Verdict::inject;
    case Then::kNext:
      break;
  }
  return Verdict::none;
}

// The other vCPUs of an injection: those that can take it. A local machine check
// stays local, and a deferred one disturbs nobody.
wire::SiblingRule siblings_of(const Facts& facts, Verdict verdict) {
  const bool tells = verdict == Verdict::inject && facts.rules.broadcast && !facts.vcpu.lmce;
  return tells && broadcasts(facts.input.guest) ? wire::SiblingRule::broadcast_ready
                                                : wire::SiblingRule::none;
}

MachineCheck record_of(const Facts& facts, Verdict verdict) {
  const Input& input = facts.input;
  switch (verdict) {
    case Verdict::inject:
      return page_record(input.guest.vendor, input.severity, facts.vcpu.lmce, facts.bank.number,
                         input.where.gpa);
    case Verdict::inject_deferred:
      return ucna_record(facts.bank.number, input.where.gpa);
    default:
      return {};
  }
}

}  // namespace

std::span<const RecommendedRow> recommended_rows() { return kRows; }

std::size_t recommended_row(const Rules& rules, const Input& input) {
  return first_row(facts_of(rules, input));
}

Decision decide_recommended(const Rules& rules, const Input& input) {
  const Facts facts = facts_of(rules, input);
  const RecommendedRow& row = kRows[first_row(facts)];
  const bool required = input.severity == Severity::kActionRequired;
  Decision decision;
  decision.verdict = verdict_of(then(row, input.severity), rules);
  decision.reason = required ? row.reason : row.optional_reason;
  decision.siblings = siblings_of(facts, decision.verdict);
  decision.record = record_of(facts, decision.verdict);
  decision.gpa = input.where.gpa;
  // Only an access that is tried again must not go on as if nothing had been.
  decision.otherwise =
      required && decision.verdict == Verdict::inject ? rules.untold : Verdict::ignore;
  return decision;
}

}  // namespace memfail::decision
