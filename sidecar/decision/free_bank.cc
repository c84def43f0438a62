// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/free_bank.h"

#include <algorithm>
#include <bit>

#include "sidecar/decision/machine_check.h"

namespace memfail::decision {
namespace {

std::uint32_t banks_on(const GuestProfile& guest, const wire::SnapshotLine& snapshot) {
  const auto count =
      static_cast<unsigned>(std::min<std::uint64_t>(guest.mcg_cap_kvm & kMcgCapBanks, kMaxBanks));
  const std::uint32_t all =
      count == kMaxBanks ? ~std::uint32_t{0} : (std::uint32_t{1} << count) - 1;
  return all & ~snapshot.bank_ctl_off();
}

}  // namespace

FreeBank free_bank(const GuestProfile& guest, const wire::SnapshotLine& snapshot) {
  const std::uint32_t on = banks_on(guest, snapshot);
  const std::uint32_t free = on & ~snapshot.bank_val();
  if (on == 0) return {BankSearch::kAllOff, wire::kNoBank};
  if (free == 0) return {BankSearch::kNoneFree, wire::kNoBank};
  if (((free >> kQemuBank) & 1) != 0) return {BankSearch::kFound, kQemuBank};
  return {BankSearch::kFound, static_cast<std::uint8_t>(std::bit_width(free) - 1)};
}

FreeBank sibling_bank(const GuestProfile& guest, const wire::SnapshotLine& snapshot) {
  constexpr std::uint32_t kBit = std::uint32_t{1} << kSiblingBank;
  if ((banks_on(guest, snapshot) & kBit) == 0) return {BankSearch::kAllOff, wire::kNoBank};
  if ((snapshot.bank_val() & kBit) == 0) return {BankSearch::kFound, kSiblingBank};
  return free_bank(guest, snapshot);
}

}  // namespace memfail::decision
