// SPDX-License-Identifier: BSD-3-Clause
//
// What a set of regions must satisfy before it is indexed. The regions come
// from the VMM: every refusal is an answer, never an assertion.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "sidecar/decision/region.h"
#include "sidecar/decision/region_error.h"

namespace memfail::decision {

// One region alone: not empty, aligned, inside the address spaces it names.
std::optional<RegionError> check_region(const Region& region);

// `by_slot` is sorted by slot: shim.h makes slot numbers unique in a VM.
std::optional<RegionError> check_slots(std::span<const Region> regions,
                                       std::span<const std::uint32_t> by_slot);

// `by_gpa` is sorted by (address space, gpa). Host addresses may overlap freely,
// guest addresses of different address spaces too.
std::optional<RegionError> check_overlaps(std::span<const Region> regions,
                                          std::span<const std::uint32_t> by_gpa);

}  // namespace memfail::decision
