// SPDX-License-Identifier: BSD-3-Clause
//
// One range of guest RAM, as the VMM registered it.
#pragma once

#include <cstdint>

#include "schema/incident_layout.h"

namespace memfail::decision {

// Bits of Region::flags; the numbers of RegionFlag in schema/control.fbs.
inline constexpr std::uint16_t kRegionReadOnly = 1;
inline constexpr std::uint16_t kRegionPrivateFile = 2;
inline constexpr std::uint16_t kRegionPersistent = 4;
inline constexpr std::uint16_t kRegionPinned = 8;
inline constexpr std::uint16_t kRegionNoHva = 16;  // guest_memfd: `hva` means nothing

struct Region {
  std::uint64_t gpa = wire::kNoAddress;  // kNoAddress: RAM the guest cannot see now
  std::uint64_t size = 0;
  std::uint64_t hva = 0;
  std::uint64_t page_size = 4096;  // of the backing: what one failure loses
  std::uint32_t slot = 0;          // the VMM's own number for it
  std::uint16_t address_space = 0;
  std::uint16_t flags = 0;
};

}  // namespace memfail::decision
