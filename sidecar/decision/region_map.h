// SPDX-License-Identifier: BSD-3-Clause
//
// Address lookups over the regions of one generation.
//
// A RegionMap is an immutable view: it owns nothing, and is as cheap to copy as
// its spans. Whoever builds it keeps the memory of the regions and of the
// scratch alive and unchanged; several generations are several maps.
//
// By guest address: the regions of one address space do not overlap, so a
// sorted array and a binary search do. By host address they may overlap (one
// page may have several guest addresses: firmware aliases), so the sorted array
// is read as an implicit augmented interval tree: the root of [lo, hi) is its
// middle element, and each element also keeps the highest end of its subtree,
// which lets a search skip every subtree that ends before the address. One path
// of log n, and at most one more for each match.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include "sidecar/decision/region.h"
#include "sidecar/decision/region_error.h"

namespace memfail::decision {

inline constexpr std::size_t kMaxRegions = 32768;
inline constexpr std::uint64_t kPageSize = 4096;
inline constexpr std::uint64_t kMaxPageSize = std::uint64_t{1} << 30;

// Which region answers for a host address that several regions share.
enum class LookupRule : std::uint8_t {
  // What the guest can see, then writable RAM, then the lowest address space
  // (1 is SMM), then the lowest guest address.
  kPreferWritable,
  // As QEMU's kvm_physical_memory_addr_from_host(): the lowest slot of address
  // space 0; other address spaces count as not mapped.
  kSlotOrder,
};

// Memory for the indexes; each span holds at least as many elements as there
// are regions.
struct RegionScratch {
  std::span<std::uint32_t> by_hva;
  std::span<std::uint64_t> hva_end;
  std::span<std::uint32_t> by_gpa;
};

class RegionMap {
 public:
  RegionMap() = default;  // no regions

  // Checks the regions and fills the scratch; O(n log n), no allocation. The
  // first thing found wrong is returned; the scratch is then undefined.
  static std::expected<RegionMap, RegionError> build(std::span<const Region> regions,
                                                     RegionScratch scratch);

  // Index of the region that answers for `hva`, by the rule.
  std::optional<std::uint32_t> find_hva(std::uint64_t hva, LookupRule rule) const;

  // Index of the region that holds `gpa` in that address space.
  std::optional<std::uint32_t> find_gpa(std::uint16_t address_space, std::uint64_t gpa) const;

  const Region& operator[](std::uint32_t index) const { return regions_[index]; }
  std::size_t size() const { return regions_.size(); }
  std::span<const Region> regions() const { return regions_; }

 private:
  struct Search;
  void visit(Search& search, std::size_t low, std::size_t high) const;

  std::span<const Region> regions_;
  std::span<const std::uint32_t> by_hva_;   // sorted by hva; those with one
  std::span<const std::uint64_t> hva_end_;  // highest end in the subtree rooted here
  std::span<const std::uint32_t> by_gpa_;   // sorted by (address space, gpa); those mapped
};

// Whether the guest can reach this region, as the rule sees it.
bool is_mapped(const Region& region, LookupRule rule);

}  // namespace memfail::decision
