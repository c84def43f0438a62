// SPDX-License-Identifier: BSD-3-Clause
//
// The policy `qemu`: what QEMU 9.1 does with a hardware memory error, branch by
// branch: first its address layer (kvm_arch_on_sigbus_vcpu), then its injection
// layer (qemu_injection.h). Rules that hold under every policy come before it:
// call decide().
#pragma once

#include "sidecar/decision/input.h"

namespace memfail::decision {

Decision decide_qemu(const Input& input);

// The record that QEMU makes: always bank 9, even if that bank is VAL (KVM then
// adds OVER: QEMU's known edge).
MachineCheck qemu_record(const Input& input);

}  // namespace memfail::decision
