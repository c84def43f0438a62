// SPDX-License-Identifier: BSD-3-Clause
//
// What a VMM's word on a region allows to be done to a range of it.
#pragma once

#include <cstdint>
#include <optional>

#include "sidecar/decision/region.h"
#include "vmm_shim/page_outcome.h"

namespace memfail::shim {

// Why pages of [hva, hva + size) must not be taken away, or nothing.
std::optional<PageOutcome> refuse_range(const decision::Region& region, std::uint64_t hva,
                                        std::uint64_t size);

}  // namespace memfail::shim
