// SPDX-License-Identifier: BSD-3-Clause
//
// The single entry to a decision. Pure and reentrant; safe in any thread.
//
// Order: what is no hardware error has no verdict; then the rules that hold
// under every policy; then the policy.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "sidecar/decision/input.h"
#include "sidecar/decision/rules.h"

namespace memfail::decision {

// Verdict `none`: not a hardware error, there is nothing to decide.
Decision decide(const Rules& rules, const Input& input);

// The rules that hold under every policy, in order.
struct CommonRow {
  std::string_view when;
  bool (*holds)(const Input&);
  wire::Verdict verdict;
  wire::Reason reason;
};
std::span<const CommonRow> common_rows();

// The one that decides, as an index into common_rows(); none: the policy does.
std::optional<std::size_t> common_row(const Input& input);

// What one other vCPU of the guest gets after an injection, from its own
// snapshot: inject (record set), reset, or ignore with the reason it is skipped.
Decision decide_sibling(wire::SiblingRule rule, const GuestProfile& guest,
                        const wire::SnapshotLine& snapshot);

// Whether the decision waits for the vCPU's snapshot. An access that cannot be
// resumed, outside the KVM_RUN bracket, never comes to the point where one is
// taken; an emulated access, and an AO while the VM does not run, are decided
// without.
bool needs_snapshot(wire::ReportKind kind, wire::ThreadKind thread, Severity severity,
                    bool vm_running = true);

}  // namespace memfail::decision
