// SPDX-License-Identifier: BSD-3-Clause
//
// Inputs by chance, for what must hold whatever comes. A test is a parameter's: its
// seed is in its name.
#pragma once

#include <cstdint>
#include <random>

#include "sidecar/decision/decide.h"
#include "sidecar/decision/severity.h"
#include "tests/unit/decision/snapshot.h"

namespace memfail::decision::testing {

class Dice {
 public:
  explicit Dice(std::uint32_t seed) : random_(seed) {}

  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
  bool one_in(std::uint32_t count) { return below(count) == 0; }
  std::uint32_t bits() { return static_cast<std::uint32_t>(random_()); }

  // Mostly few or many of them: a half-filled set of banks hides both ends.
  std::uint32_t bank_bits() {
    switch (below(4)) {
      case 0:
        return 0;
      case 1:
        return bits() & bits() & bits();
      case 2:
        return ~(bits() & bits() & bits());
      default:
        return ~std::uint32_t{0};
    }
  }

  GuestProfile any_guest() {
    constexpr std::uint64_t kBanks[] = {0, 1, 2, 4, 9, 10, 10, 10, 20, 32, 40};
    const std::uint64_t ctl_p = one_in(2) ? 1u << 8 : 0;
    const std::uint64_t cap = kBanks[below(11)] | ctl_p | (one_in(4) ? 0 : 1u << 24);
    GuestProfile profile =
        guest(static_cast<wire::Vendor>(below(3)), cap, one_in(3) ? kEaxSilent : kEaxBroadcasts);
    if (one_in(3)) profile.mcg_cap_kvm &= ~(std::uint64_t{1} << 24);  // as kvm_amd does
    profile.cpuid_80000007_ebx = one_in(3) ? below(4) : 3;
    return profile;
  }

  Snapshot any_snapshot() {
    Snapshot out;
    for (bool Snapshot::* known :
         {&Snapshot::knows_mp_state, &Snapshot::knows_mcg_status, &Snapshot::knows_mcg_ctl,
          &Snapshot::knows_lmce, &Snapshot::knows_banks, &Snapshot::knows_cr4,
          &Snapshot::knows_events, &Snapshot::knows_smm}) {
      out.*known = !one_in(24);
    }
    out.cr4_mce = !one_in(5);
    out.mcg_ctl_ok = !one_in(5);
    out.lmce_on = one_in(4);
    out.in_smm = one_in(8);
    out.nested = one_in(6);
    out.triple_fault = one_in(10);
    out.bank_val = bank_bits();
    out.bank_uc = bits();
    out.bank_ctl_off = one_in(2) ? 0 : bank_bits();
    out.bank_cmci_on = bank_bits();
    out.mcg_status = one_in(4) ? below(16) : 0;
    constexpr std::uint8_t kVectors[] = {18, 13, 8};
    out.queued_exception = one_in(5) ? kVectors[below(3)] : wire::kNoException;
    out.mp_state = static_cast<std::uint8_t>(one_in(4) ? below(10) : 0);
    return out;
  }

  Rules any_rules() {
    constexpr wire::Verdict kEnds[] = {wire::Verdict::reset, wire::Verdict::pause,
                                       wire::Verdict::abort};
    Rules rules;
    rules.untold = kEnds[below(3)];
    rules.outside = one_in(2) ? wire::Verdict::abort : wire::Verdict::pause;
    rules.no_progress = kEnds[below(3)];
    rules.optional = static_cast<OptionalDelivery>(below(3));
    rules.broadcast = !one_in(3);
    rules.repeat_limit = 2 + below(40);
    return rules;
  }

  // But for the snapshot.
  Input any_input() {
    Input input;
    input.guest = any_guest();
    const bool ram = !one_in(5);
    input.where.address = ram ? AddressClass::kGuestRam : static_cast<AddressClass>(below(4));
    input.where.hva = 0x7f0000000000;
    input.where.lost_size = 4096;
    if (input.where.address == AddressClass::kGuestRam) {
      input.where.gpa = std::uint64_t{bits()} << 12;
    }
    input.kind = one_in(6) ? static_cast<wire::ReportKind>(1 + below(4)) : wire::ReportKind::sigbus;
    input.thread =
        one_in(6) ? static_cast<wire::ThreadKind>(1 + below(3)) : wire::ThreadKind::vcpu_in_run;
    input.severity = severity_of(input.kind, one_in(2) ? kCodeActionRequired : kCodeActionOptional);
    input.vm_running = !one_in(8);
    input.history.known = one_in(2);
    input.history.guest_told = one_in(4);
    input.history.repeats = below(50);
    return input;
  }

 private:
  std::mt19937_64 random_;
};

}  // namespace memfail::decision::testing
