// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/region_check.h"

#include <bit>

#include "sidecar/decision/region_map.h"

namespace memfail::decision {
namespace {

using Check = std::optional<RegionError>;

RegionError refuse(const Region& region, RegionErrorCode code, std::string_view field,
                   std::uint64_t value, std::uint64_t limit) {
  return {code, region.slot, region.slot, field, value, limit};
}

Check check_aligned(const Region& region, std::string_view field, std::uint64_t value) {
  if (value % kPageSize == 0) {
    return std::nullopt;
  }
  return refuse(region, RegionErrorCode::kUnaligned, field, value, kPageSize);
}

// The end, one past the last byte, must be a number too: everything here
// compares ends.
Check check_wrap(const Region& region, std::string_view field, std::uint64_t start) {
  const std::uint64_t largest = ~start & ~(kPageSize - 1);
  if (region.size <= largest) {
    return std::nullopt;
  }
  return refuse(region, RegionErrorCode::kWraps, field, region.size, largest);
}

Check check_range(const Region& region, std::string_view start_field, std::string_view end_field,
                  std::uint64_t start) {
  if (const Check error = check_aligned(region, start_field, start)) {
    return error;
  }
  return check_wrap(region, end_field, start);
}

Check check_sizes(const Region& region) {
  if (region.size == 0) {
    return refuse(region, RegionErrorCode::kEmpty, "size", 0, kPageSize);
  }
  const std::uint64_t page = region.page_size;
  if (!std::has_single_bit(page) || page < kPageSize || page > kMaxPageSize) {
    return refuse(region, RegionErrorCode::kBadPageSize, "page_size", page, kMaxPageSize);
  }
  return check_aligned(region, "size", region.size);
}

// The one that comes later in memory is refused, and the end of the one below it
// is the limit that its gpa violates.
Check check_pair(const Region& below, const Region& above) {
  if (below.address_space != above.address_space || above.gpa >= below.gpa + below.size) {
    return std::nullopt;
  }
  return RegionError{RegionErrorCode::kOverlap, above.slot, below.slot, "gpa", above.gpa,
                     below.gpa + below.size};
}

}  // namespace

Check check_region(const Region& region) {
  if (const Check error = check_sizes(region)) {
    return error;
  }
  if (region.gpa != wire::kNoAddress) {
    if (const Check error = check_range(region, "gpa", "gpa+size", region.gpa)) {
      return error;
    }
  }
  if ((region.flags & kRegionNoHva) != 0) {
    return std::nullopt;
  }
  return check_range(region, "hva", "hva+size", region.hva);
}

Check check_slots(std::span<const Region> regions, std::span<const std::uint32_t> by_slot) {
  for (std::size_t i = 1; i < by_slot.size(); ++i) {
    const Region& region = regions[by_slot[i]];
    if (region.slot == regions[by_slot[i - 1]].slot) {
      return refuse(region, RegionErrorCode::kDuplicateSlot, "slot", region.slot, 1);
    }
  }
  return std::nullopt;
}

Check check_overlaps(std::span<const Region> regions, std::span<const std::uint32_t> by_gpa) {
  for (std::size_t i = 1; i < by_gpa.size(); ++i) {
    if (const Check error = check_pair(regions[by_gpa[i - 1]], regions[by_gpa[i]])) {
      return error;
    }
  }
  return std::nullopt;
}

}  // namespace memfail::decision
