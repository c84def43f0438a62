// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/vcpu_state.h"

#include "sidecar/decision/machine_check.h"

namespace memfail::decision {
namespace {

using Field = wire::SnapshotField;
using Flag = wire::SnapshotFlag;

constexpr std::uint8_t kMachineCheckVector = 18;
constexpr std::uint8_t kDoubleFaultVector = 8;
constexpr std::uint8_t kMpStateUninitialized = 1;
constexpr std::uint8_t kMpStateInitReceived = 2;

std::uint16_t bit(Field field) { return static_cast<std::uint16_t>(field); }
std::uint16_t bit(Flag flag) { return static_cast<std::uint16_t>(flag); }

bool has(const wire::SnapshotLine& snapshot, Field field) {
  return (snapshot.valid() & bit(field)) != 0;
}
bool has(const wire::SnapshotLine& snapshot, Flag flag) {
  return (snapshot.flags() & bit(flag)) != 0;
}

bool has_mcg_ctl(const GuestProfile& guest) {
  return (guest.mcg_cap_configured & kMcgCapCtlP) != 0;
}

bool is_started(std::uint8_t mp_state) {
  return mp_state != kMpStateUninitialized && mp_state != kMpStateInitReceived;
}

}  // namespace

VcpuState vcpu_state(const GuestProfile& guest, const wire::SnapshotLine& snapshot,
                     std::uint8_t bank) {
  VcpuState state;
  state.mcip = (snapshot.mcg_status() & kMcgStatusMcip) != 0;
  state.mcg_ctl_off = has_mcg_ctl(guest) && !has(snapshot, Flag::mcg_ctl_ok);
  state.bank_ctl_off = bank >= kMaxBanks || ((snapshot.bank_ctl_off() >> bank) & 1) != 0;
  state.cr4_mce = has(snapshot, Flag::cr4_mce);
  state.lmce = has(snapshot, Field::lmce) && has(snapshot, Flag::lmce_on);
  state.started = is_started(snapshot.mp_state());
  state.in_smm = has(snapshot, Flag::in_smm);
  state.mc_queued = snapshot.queued_exception() == kMachineCheckVector;
  state.double_fault = snapshot.queued_exception() == kDoubleFaultVector;
  state.triple_fault = has(snapshot, Flag::triple_fault);
  return state;
}

bool knows_injection(const GuestProfile& guest, const wire::SnapshotLine& snapshot,
                     bool uncorrected) {
  if (!has(snapshot, Field::mcg_status)) {
    return false;
  }
  if (!uncorrected) {
    return true;
  }
  const bool mcg_ctl = !has_mcg_ctl(guest) || has(snapshot, Field::mcg_ctl);
  return mcg_ctl && has(snapshot, Field::banks) && has(snapshot, Field::cr4);
}

bool in_nested_guest(const wire::SnapshotLine& snapshot) {
  return has(snapshot, Flag::in_guest_mode);
}

bool knows_readiness(const GuestProfile& guest, const wire::SnapshotLine& snapshot) {
  return knows_injection(guest, snapshot, true) && has(snapshot, Field::mp_state) &&
         has(snapshot, Field::smm) && has(snapshot, Field::events);
}

}  // namespace memfail::decision
