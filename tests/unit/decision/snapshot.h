// SPDX-License-Identifier: BSD-3-Clause
//
// Snapshots and guests for the tests: members by name, defaults of a guest that
// can take a machine check.
#pragma once

#include "schema/incident_layout.h"
#include "sidecar/decision/types.h"

namespace memfail::decision::testing {

struct Snapshot {
  bool knows_mp_state = true;
  bool knows_mcg_status = true;
  bool knows_mcg_ctl = true;
  bool knows_lmce = true;
  bool knows_banks = true;
  bool knows_cr4 = true;
  bool knows_events = true;
  bool knows_smm = true;
  bool cr4_mce = true;
  bool mcg_ctl_ok = true;
  bool lmce_on = false;
  bool in_smm = false;
  bool nested = false;
  bool triple_fault = false;
  std::uint32_t bank_val = 0;
  std::uint32_t bank_uc = 0;
  std::uint32_t bank_ctl_off = 0;
  std::uint32_t bank_cmci_on = 0;
  std::uint64_t mcg_status = 0;
  std::uint8_t queued_exception = 255;
  std::uint8_t mp_state = 0;

  wire::SnapshotLine line() const {
    using Field = wire::SnapshotField;
    using Flag = wire::SnapshotFlag;
    unsigned valid = 0;
    const auto know = [&](bool known, Field field) {
      valid |= known ? static_cast<unsigned>(field) : 0;
    };
    know(knows_mp_state, Field::mp_state);
    know(knows_mcg_status, Field::mcg_status);
    know(knows_mcg_ctl, Field::mcg_ctl);
    know(knows_lmce, Field::lmce);
    know(knows_banks, Field::banks);
    know(knows_cr4, Field::cr4);
    know(knows_events, Field::events);
    know(knows_smm, Field::smm);
    unsigned flags = 0;
    const auto set = [&](bool on, Flag flag) { flags |= on ? static_cast<unsigned>(flag) : 0; };
    set(cr4_mce, Flag::cr4_mce);
    set(mcg_ctl_ok, Flag::mcg_ctl_ok);
    set(lmce_on, Flag::lmce_on);
    set(in_smm, Flag::in_smm);
    set(nested, Flag::in_guest_mode);
    set(triple_fault, Flag::triple_fault);
    return wire::SnapshotLine(2, 0, static_cast<std::uint16_t>(valid),
                              static_cast<std::uint16_t>(flags), bank_val, bank_uc, bank_ctl_off,
                              queued_exception, mp_state, 0, mcg_status, 0, 0, bank_cmci_on, 0, 0);
  }
};

// CPUID 1 EAX of a Nehalem (family 6, model 26) and of a Pentium M (model 13).
inline constexpr std::uint32_t kEaxBroadcasts = 0x000106A5;
inline constexpr std::uint32_t kEaxSilent = 0x000006D8;

// 10 banks, CTL_P, SER_P: what QEMU configures.
inline constexpr std::uint64_t kMcgCapQemu = 0x100010A;

inline GuestProfile guest(wire::Vendor vendor, std::uint64_t mcg_cap = kMcgCapQemu,
                          std::uint32_t eax = kEaxBroadcasts) {
  GuestProfile profile;
  profile.vendor = vendor;
  profile.cpuid_1_eax = eax;
  profile.mcg_cap_configured = mcg_cap;
  profile.mcg_cap_kvm = mcg_cap;
  profile.vcpus = 2;
  return profile;
}

}  // namespace memfail::decision::testing
