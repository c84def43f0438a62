// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/page_range.h"

#include <algorithm>
#include <bit>

#include "sidecar/decision/region_map.h"

namespace memfail::session {

using decision::kMaxPageSize;
using decision::kPageSize;

std::optional<PageNumber> page_number(std::uint64_t hva, std::uint64_t gpa) {
  if (hva != wire::kNoAddress) return hva / kPageSize;
  if (gpa != wire::kNoAddress) return gpa / kPageSize | kByGuestAddress;
  return std::nullopt;
}

std::uint64_t PageRange::bytes() const { return count * kPageSize; }

std::uint64_t PageRange::hva() const {
  return (first & kByGuestAddress) != 0 ? wire::kNoAddress : first * kPageSize;
}

PageRange backing_page(PageNumber page, std::uint64_t size) {
  const std::uint64_t count = std::bit_floor(std::clamp(size, kPageSize, kMaxPageSize)) / kPageSize;
  return {page & ~(count - 1), count};
}

}  // namespace memfail::session
