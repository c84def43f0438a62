// SPDX-License-Identifier: BSD-3-Clause
//
// How a range of this process's memory is backed, and the other places where the same
// file pages are mapped.
#pragma once

#include <cstdint>
#include <expected>

#include "vmm_shim/maps.h"
#include "vmm_shim/page_outcome.h"

namespace memfail::shim {

struct BackedRange {
  Backing backing = Backing::kAnonymous;
  // The mapping that holds it; without its name.
  MapsEntry mapping;
};

// Of [hva, hva + size); kMapsUnreadable, kNotMapped. Any thread, not a signal handler:
// reads /proc/self/maps.
std::expected<BackedRange, PageOutcome> find_backing(std::uint64_t hva, std::uint64_t size);

// Whether the file is one that lives in memory alone: an unmounted one of the kernel,
// or on a mounted tmpfs or hugetlbfs. Its name would not tell: the usual one is deleted.
bool is_memory_file(const BackedRange& range);

// Drops [hva, hva + size), which lies in `range`, from this process's page tables, and
// where the pages are a shared file's from each mapping of them. 0 or errno. Content
// that is in no file is gone. Other processes keep what they have.
int drop_everywhere(const BackedRange& range, std::uint64_t hva, std::uint64_t size);

}  // namespace memfail::shim
