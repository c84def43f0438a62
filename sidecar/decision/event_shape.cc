// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/event_shape.h"

#include <optional>

namespace memfail::decision {
namespace {

using wire::Action;
using wire::Delivered;
using wire::Reason;
using wire::Recipient;
using wire::Verdict;

struct Row {
  Verdict verdict;
  std::optional<Reason> reason;  // nullopt: any
  std::optional<Delivered> delivered;
  Recipient recipient;
  Action action;
  bool recursive;
};

constexpr auto kAnyReason = std::optional<Reason>();
constexpr auto kAnyDelivered = std::optional<Delivered>();
constexpr auto kVmm = Recipient::hypervisor;
constexpr auto kGuest = Recipient::guest;

// The first row that fits decides. An injection that did not arrive is not called
// one: only the outcome is the truth.
constexpr Row kRows[] = {
    {Verdict::inject, Reason::vmm_exited, Delivered::none, kVmm, Action::fatal, false},
    {Verdict::inject, kAnyReason, Delivered::none, kGuest, Action::ignore, false},
    {Verdict::inject, kAnyReason, Delivered::dropped, kGuest, Action::ignore, false},
    {Verdict::inject, kAnyReason, Delivered::stale, kGuest, Action::ignore, false},
    {Verdict::inject, kAnyReason, Delivered::failed, kGuest, Action::ignore, false},
    {Verdict::inject, kAnyReason, Delivered::triple_fault, kGuest, Action::reset, false},
    {Verdict::inject, kAnyReason, kAnyDelivered, kGuest, Action::inject, false},

    {Verdict::ignore, Reason::mce_in_progress, kAnyDelivered, kGuest, Action::ignore, true},
    {Verdict::ignore, Reason::mcg_ctl_off, kAnyDelivered, kGuest, Action::ignore, false},
    {Verdict::ignore, Reason::bank_ctl_off, kAnyDelivered, kGuest, Action::ignore, false},
    {Verdict::ignore, Reason::vm_not_running, kAnyDelivered, kGuest, Action::ignore, false},
    {Verdict::ignore, Reason::mce_not_enabled, kAnyDelivered, kGuest, Action::ignore, false},
    {Verdict::ignore, Reason::mce_pending, kAnyDelivered, kGuest, Action::ignore, true},
    {Verdict::ignore, Reason::no_recovery, kAnyDelivered, kGuest, Action::ignore, false},
    {Verdict::ignore, Reason::untouched, kAnyDelivered, kGuest, Action::ignore, false},
    {Verdict::ignore, Reason::in_smm, kAnyDelivered, kGuest, Action::ignore, false},
    {Verdict::ignore, Reason::no_free_bank, kAnyDelivered, kGuest, Action::ignore, false},
    {Verdict::ignore, Reason::triple_fault_pending, kAnyDelivered, kGuest, Action::ignore, false},
    {Verdict::ignore, Reason::double_fault_queued, kAnyDelivered, kGuest, Action::ignore, false},
    {Verdict::ignore, Reason::dropped_by_kvm, kAnyDelivered, kGuest, Action::ignore, false},
    {Verdict::ignore, Reason::already_told, kAnyDelivered, kGuest, Action::ignore, false},
    {Verdict::ignore, Reason::policy, kAnyDelivered, kGuest, Action::ignore, false},
    {Verdict::ignore, kAnyReason, kAnyDelivered, kVmm, Action::ignore, false},

    {Verdict::reset, Reason::previous_mce_in_progress, kAnyDelivered, kGuest, Action::reset, true},
    {Verdict::reset, kAnyReason, kAnyDelivered, kGuest, Action::reset, false},

    {Verdict::abort, kAnyReason, kAnyDelivered, kVmm, Action::fatal, false},
    {Verdict::retry, Reason::mce_pending, kAnyDelivered, kGuest, Action::ignore, true},
    {Verdict::retry, kAnyReason, kAnyDelivered, kGuest, Action::ignore, false},
    {Verdict::pause, kAnyReason, kAnyDelivered, kVmm, Action::ignore, false},

    {Verdict::none, Reason::vmm_exited, kAnyDelivered, kVmm, Action::fatal, false},
    {Verdict::none, kAnyReason, kAnyDelivered, kVmm, Action::ignore, false},
};

// Told without an exception, but told.
Verdict as_injection(Verdict verdict) {
  return verdict == Verdict::inject_deferred ? Verdict::inject : verdict;
}

bool fits(const Row& row, Verdict verdict, Reason reason, Delivered delivered) {
  return row.verdict == verdict && row.reason.value_or(reason) == reason &&
         row.delivered.value_or(delivered) == delivered;
}

}  // namespace

EventShape event_shape(Verdict verdict, Reason reason, Delivered delivered, Severity severity,
                       bool mcip) {
  EventShape shape;
  shape.action_required = severity == Severity::kActionRequired;
  for (const Row& row : kRows) {
    if (fits(row, as_injection(verdict), reason, delivered)) {
      shape.recipient = row.recipient;
      shape.action = row.action;
      shape.recursive = row.recursive || (mcip && row.recipient == kGuest);
      break;
    }
  }
  return shape;
}

}  // namespace memfail::decision
