// SPDX-License-Identifier: BSD-3-Clause
//
// How severe a report is. It comes from what the kernel said, never from the
// record that is made of it: an AMD record has no AR bit.
#pragma once

#include "sidecar/decision/types.h"

namespace memfail::decision {

// asm-generic/siginfo.h; written out because not every libc has all of them.
inline constexpr int kCodeActionRequired = 4;  // BUS_MCEERR_AR
inline constexpr int kCodeActionOptional = 5;  // BUS_MCEERR_AO
inline constexpr int kCodeKernel = 0x80;       // SI_KERNEL: no address known

Severity severity_of_code(int si_code);

// The exits carry no si_code: the guest's access did fail, so action is required.
Severity severity_of(wire::ReportKind kind, int si_code);

}  // namespace memfail::decision
