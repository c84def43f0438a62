// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/decide.h"

#include <array>

#include "sidecar/decision/qemu_policy.h"
#include "sidecar/decision/recommended_policy.h"

namespace memfail::decision {
namespace {

using wire::Reason;
using wire::ReportKind;
using wire::Verdict;

// The conditions of the rules below.

bool is_no_error(const Input& input) {
  return input.kind == ReportKind::none || input.severity == Severity::kNone;
}

bool is_emulated_access(const Input& input) { return input.kind == ReportKind::mmio_exit; }

bool is_action_required(const Input& input) { return input.severity == Severity::kActionRequired; }

// Anything but the KVM_RUN bracket: the access was the VMM's own, returning from
// the handler would repeat it.
bool is_outside(const Input& input) {
  return is_action_required(input) && input.thread != wire::ThreadKind::vcpu_in_run;
}

bool has_no_address(const Input& input) {
  return is_outside(input) && input.where.address == AddressClass::kNoAddress;
}

bool is_outside_on_vmm_memory(const Input& input) {
  return is_outside(input) && input.where.address == AddressClass::kVmmMemory;
}

// The guest's next look at the page, or its reset, brings it up again.
bool can_be_remembered(const Input& input) {
  return !is_action_required(input) && !input.vm_running &&
         input.where.address == AddressClass::kGuestRam;
}

// The first row that holds decides; where none holds, the policy does.
constexpr auto kRows = std::to_array<CommonRow>({
    {"an emulated instruction met the page", is_emulated_access, Verdict::reset,
     Reason::emulated_access},
    {"no hardware error", is_no_error, Verdict::none, Reason::none},
    {"action required outside KVM_RUN, and no address", has_no_address, Verdict::abort,
     Reason::no_address},
    {"action required outside KVM_RUN, on the VMM's memory", is_outside_on_vmm_memory,
     Verdict::abort, Reason::vmm_memory},
    {"action required outside KVM_RUN, on guest RAM", is_outside, Verdict::abort,
     Reason::outside_guest},
    {"action optional while the VM does not run", can_be_remembered, Verdict::ignore,
     Reason::vm_not_running},
});

Decision decide_by_policy(const Rules& rules, const Input& input) {
  switch (rules.policy) {
    case Policy::kQemu:
      return decide_qemu(input);
    case Policy::kRecommended:
      return decide_recommended(rules, input);
  }
  return {};
}

// What an operator may choose, and what QEMU does not tell: whose page it was.
void adjust(Decision& decision, const Rules& rules, const Input& input) {
  if (decision.reason == Reason::emulated_access) decision.verdict = rules.untold;
  const bool guests_page = input.where.address == AddressClass::kGuestRam;
  if (decision.reason == Reason::outside_guest && guests_page) {
    decision.verdict = rules.outside;
    decision.reason = Reason::guest_memory_by_vmm;
  }
}

Decision decide_by_rule(const CommonRow& row, const Rules& rules, const Input& input) {
  Decision decision;
  decision.verdict = row.verdict;
  decision.reason = row.reason;
  decision.gpa = input.where.gpa;
  if (rules.policy == Policy::kRecommended) adjust(decision, rules, input);
  return decision;
}

}  // namespace

std::span<const CommonRow> common_rows() { return kRows; }

std::optional<std::size_t> common_row(const Input& input) {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].holds(input)) return i;
  }
  return std::nullopt;
}

Decision decide(const Rules& rules, const Input& input) {
  const auto row = common_row(input);
  return row ? decide_by_rule(kRows[*row], rules, input) : decide_by_policy(rules, input);
}

bool needs_snapshot(ReportKind kind, wire::ThreadKind thread, Severity severity, bool vm_running) {
  if (kind == ReportKind::none || kind == ReportKind::mmio_exit || severity == Severity::kNone) {
    return false;
  }
  if (severity == Severity::kActionOptional) {
    return vm_running;
  }
  return thread == wire::ThreadKind::vcpu_in_run;
}

}  // namespace memfail::decision
