// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <optional>

#include "vmm_shim/state.h"

namespace memfail::shim {

// Where a report's address lies now. Takes the table's lock.
decision::Classification locate(memfail_shim& shim, const wire::ReportLine& report);

// Whether guest page `gpa` is backed by the page of `hva`, under any alias.
bool is_backed_by(memfail_shim& shim, std::uint64_t gpa, std::uint64_t hva);

// The region of this guest address, in address space 0.
std::optional<decision::Region> region_of_gpa(memfail_shim& shim, std::uint64_t gpa);

// The region that holds this host address.
std::optional<decision::Region> region_at(memfail_shim& shim, std::uint64_t hva);

struct BackingPage {
  std::uint64_t hva = 0;
  std::uint64_t size = 0;  // 0: no registered RAM there
};
// The host page behind `gpa` in address space 0.
BackingPage backing_page(memfail_shim& shim, std::uint64_t gpa);

}  // namespace memfail::shim
