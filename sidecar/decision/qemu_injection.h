// SPDX-License-Identifier: BSD-3-Clause
//
// QEMU's injection layer, do_inject_x86_mce() of 9.1: what becomes of one record
// on one vCPU. Used for the vCPU that met the page and for its siblings.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "sidecar/decision/types.h"

namespace memfail::decision {

struct Judgement {
  wire::Verdict verdict = wire::Verdict::none;
  wire::Reason reason = wire::Reason::none;
};

// What a row asks of the record and of the vCPU.
enum class Is : std::uint8_t { kAny, kNo, kYes };
struct InjectionConditions {
  Is record_ar, record_uc, mcip, mcg_ctl_off, bank_ctl_off, cr4_mce;
};

// One branch; the first that holds decides.
struct InjectionRow {
  std::string_view when;  // in words, for docs/decisions.md and `memfailctl explain`
  InjectionConditions asks;
  Judgement judgement;
};

std::span<const InjectionRow> qemu_injection_rows();

// The row that decides, as an index into qemu_injection_rows(); none: the snapshot
// lacks what the rows look at.
std::optional<std::size_t> qemu_injection_row(const GuestProfile& guest, const MachineCheck& record,
                                              const wire::SnapshotLine& snapshot);

// "Action required" is read from the record's AR bit, as QEMU does: no AMD
// record has it. A snapshot that lacks what the rules need gives {none,
// no_snapshot}: what follows from that is the caller's rule, QEMU has none.
Judgement qemu_injection(const GuestProfile& guest, const MachineCheck& record,
                         const wire::SnapshotLine& snapshot);

}  // namespace memfail::decision
