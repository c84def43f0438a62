// SPDX-License-Identifier: BSD-3-Clause
//
// The policy `qemu`: what QEMU 9.1 does with a hardware memory error, branch by
// branch: first its address layer (kvm_arch_on_sigbus_vcpu), then its injection
// layer (qemu_injection.h). Rules that hold under every policy come before it:
// call decide().
#pragma once

#include <string_view>

#include "sidecar/decision/input.h"

namespace memfail::decision {

Decision decide_qemu(const Input& input);

// One branch of either layer; the first that holds decides.
struct QemuRow {
  std::string_view when;  // in words, for docs/decisions.md and `memfailctl explain`
  wire::Verdict required;
  wire::Verdict optional;
  wire::Reason reason;
};

std::size_t qemu_row_count();
QemuRow qemu_row_at(std::size_t index);  // below the count

// The index of the row that decides.
std::size_t qemu_row(const Input& input);

// The record that QEMU makes: always bank 9, even if that bank is VAL (KVM then
// adds OVER: QEMU's known edge).
MachineCheck qemu_record(const Input& input);

}  // namespace memfail::decision
