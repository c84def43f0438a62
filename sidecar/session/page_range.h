// SPDX-License-Identifier: BSD-3-Clause
//
// How the tables of a VM name its pages. A number is a host address in units of
// 4 KiB; memory without a host address (guest_memfd) has its guest address as
// number, in a half of the numbers of its own. Total: any input has a result,
// none wraps.
#pragma once

#include <cstdint>
#include <optional>

#include "sidecar/decision/types.h"

namespace memfail::session {

using PageNumber = std::uint64_t;

inline constexpr PageNumber kByGuestAddress = PageNumber{1} << 63;

// None where there is neither address (wire::kNoAddress).
std::optional<PageNumber> page_number(std::uint64_t hva, std::uint64_t gpa);

inline std::optional<PageNumber> page_number(const decision::Classification& where) {
  return page_number(where.hva, where.gpa);
}

// A backing page: a power of two of small pages, aligned to itself. So two of them
// are apart, or one lies within the other.
struct PageRange {
  PageNumber first = 0;
  std::uint64_t count = 1;

  PageNumber end() const { return first + count; }
  bool contains(PageNumber page) const { return page >= first && page < end(); }
  std::uint64_t bytes() const;
  std::uint64_t hva() const;  // of its start; wire::kNoAddress where it has none

  friend bool operator==(const PageRange&, const PageRange&) = default;
};

// The backing page of `size` bytes around `page`. A size that no backing has is
// taken as the next smaller one.
PageRange backing_page(PageNumber page, std::uint64_t size);

}  // namespace memfail::session
