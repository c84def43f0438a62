// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/decide.h"

#include "sidecar/decision/qemu_policy.h"

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

struct Rule {
  bool (*holds)(const Input&);
  Verdict verdict;
  Reason reason;
};

// The first row that holds decides; where none holds, the policy does.
constexpr Rule kRules[] = {
    {is_emulated_access, Verdict::reset, Reason::emulated_access},
    {is_no_error, Verdict::none, Reason::none},
    {has_no_address, Verdict::abort, Reason::no_address},
    {is_outside_on_vmm_memory, Verdict::abort, Reason::vmm_memory},
    {is_outside, Verdict::abort, Reason::outside_guest},
    {can_be_remembered, Verdict::ignore, Reason::vm_not_running},
};

const Rule* first_rule(const Input& input) {
  for (const Rule& rule : kRules) {
    if (rule.holds(input)) {
      return &rule;
    }
  }
  return nullptr;
}

Decision decide_by_policy(Policy policy, const Input& input) {
  switch (policy) {
    case Policy::kQemu:
      return decide_qemu(input);
  }
  return {};
}

}  // namespace

Decision decide(Policy policy, const Input& input) {
  const Rule* rule = first_rule(input);
  if (rule == nullptr) {
    return decide_by_policy(policy, input);
  }
  Decision decision;
  decision.verdict = rule->verdict;
  decision.reason = rule->reason;
  decision.gpa = input.where.gpa;
  return decision;
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
