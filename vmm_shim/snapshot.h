// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "vmm_shim/state.h"

namespace memfail::shim {

// Reads a vCPU's machine-check state, on its own thread, outside KVM_RUN. What KVM
// refuses is left out of `valid`.
wire::SnapshotLine take_snapshot(const memfail_lane& lane);

// What KVM made of an injection, read back.
struct ReadBack {
  wire::Delivered delivered = wire::Delivered::unknown;
  std::uint64_t status = 0;  // MCi_STATUS as it stands now
  std::uint64_t mcg_status = 0;
  // Of a dropped one: which of KVM's own rules it was, as far as can be seen now.
  wire::Reason why = wire::Reason::dropped_by_kvm;
};

// `before`: the snapshot the injection was decided on.
ReadBack read_back(const memfail_lane& lane, const decision::MachineCheck& record,
                   const wire::SnapshotLine& before);

}  // namespace memfail::shim
