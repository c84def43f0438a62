// SPDX-License-Identifier: BSD-3-Clause
//
// Why a set of regions was refused: names the field, its value and the limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace memfail::decision {

enum class RegionErrorCode : std::uint8_t {
  kUnaligned = 1,
  kWraps,
  kOverlap,
  kTooMany,
  kDuplicateSlot,
  kBadPageSize,
  kEmpty,
};

struct RegionError {
  RegionErrorCode code = RegionErrorCode::kEmpty;
  std::uint32_t slot = 0;        // of the region that was refused
  std::uint32_t other_slot = 0;  // kOverlap: of the one it collides with
  std::string_view field;        // static storage
  std::uint64_t value = 0;
  std::uint64_t limit = 0;
};

// One line for a person, NUL-terminated, cut to `size` bytes. Returns the length
// that the whole line has, as snprintf does. Not async-signal-safe.
int format_region_error(char* buffer, std::size_t size, const RegionError& error);

}  // namespace memfail::decision
