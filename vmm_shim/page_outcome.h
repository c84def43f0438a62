// SPDX-License-Identifier: BSD-3-Clause
//
// What came of changing a page of guest RAM in its place: repair.h, poison_again.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace memfail::shim {

enum class PageResult : std::uint8_t {
  kDone,
  // Refused by what the VMM said of the region; nothing was touched.
  kNoHva,
  kPinned,
  kPersistent,
  kReadOnly,
  kPrivateFile,  // or the kernel says so
  kOutsideRegion,
  kPartOfPage,
  // Refused by what the kernel says of the range; nothing was touched.
  kMapsUnreadable,
  kNotMapped,
  kNotMemory,
  kPoolEmpty,
  kKernelTooOld,
  kNotPermitted,
  kWatched,
  // The kernel refused a step; the page's content may be gone.
  kNotPunched,
  kNotDropped,
  kNotMarked,
  kPagePresent,
  // It was done, and the check afterwards says that it did not take.
  kStillPoisoned,
  kNoPage,
  kNotPoisoned,
  kNotVerified,
};

struct PageOutcome {
  PageResult result = PageResult::kDone;
  int number = 0;  // errno of the call that said so, or 0

  [[nodiscard]] bool done() const { return result == PageResult::kDone; }
};

// "hugetlb-pool-empty"; static storage.
const char* page_result_name(PageResult result);

// One line for a person about the range [hva, hva + size), NUL-terminated, cut to
// `capacity` bytes. Returns the length that the whole line has, as snprintf does.
int format_page_outcome(char* buffer, std::size_t capacity, const PageOutcome& outcome,
                        std::uint64_t hva, std::uint64_t size);

}  // namespace memfail::shim
