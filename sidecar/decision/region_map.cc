// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/region_map.h"

#include <algorithm>
#include <tuple>

#include "sidecar/decision/region_check.h"

namespace memfail::decision {
namespace {

using Regions = std::span<const Region>;
using Indexes = std::span<std::uint32_t>;

bool has_hva(const Region& region) { return (region.flags & kRegionNoHva) == 0; }
bool has_gpa(const Region& region) { return region.gpa != wire::kNoAddress; }

// Fills `indexes` with those regions that `wanted` accepts; returns that part.
template <typename Wanted>
Indexes select(Regions regions, Indexes indexes, Wanted wanted) {
  std::size_t count = 0;
  for (std::uint32_t i = 0; i < regions.size(); ++i) {
    if (wanted(regions[i])) {
      indexes[count++] = i;
    }
  }
  return indexes.first(count);
}

// Sorts by a key of the region; equal keys keep the order of registration.
template <typename Key>
void sort_by(Regions regions, Indexes indexes, Key key) {
  std::sort(indexes.begin(), indexes.end(), [&](std::uint32_t a, std::uint32_t b) {
    const auto key_a = key(regions[a]);
    const auto key_b = key(regions[b]);
    return key_a < key_b || (key_a == key_b && a < b);
  });
}

std::uint32_t slot_key(const Region& region) { return region.slot; }
std::uint64_t hva_key(const Region& region) { return region.hva; }
std::tuple<std::uint16_t, std::uint64_t> gpa_key(const Region& region) {
  return {region.address_space, region.gpa};
}

// Writes the highest end of each subtree at its root; returns that of [low, high).
std::uint64_t fill_ends(Regions regions, Indexes by_hva, std::span<std::uint64_t> ends,
                        std::size_t low, std::size_t high) {
  if (low >= high) {
    return 0;
  }
  const std::size_t middle = low + (high - low) / 2;
  const Region& root = regions[by_hva[middle]];
  const std::uint64_t below = fill_ends(regions, by_hva, ends, low, middle);
  const std::uint64_t above = fill_ends(regions, by_hva, ends, middle + 1, high);
  ends[middle] = std::max({root.hva + root.size, below, above});
  return ends[middle];
}

// Smaller is better; see LookupRule.
using Rank = std::tuple<bool, bool, std::uint16_t, std::uint64_t, std::uint32_t>;
Rank rank(const Region& region, LookupRule rule) {
  const bool unmapped = !is_mapped(region, rule);
  if (rule == LookupRule::kSlotOrder) {
    return {unmapped, false, 0, 0, region.slot};
  }
  const bool read_only = (region.flags & kRegionReadOnly) != 0;
  return {unmapped, read_only, region.address_space, region.gpa, region.slot};
}

std::optional<RegionError> check_count(Regions regions, const RegionScratch& scratch) {
  const std::size_t room =
      std::min({kMaxRegions, scratch.by_hva.size(), scratch.hva_end.size(), scratch.by_gpa.size()});
  if (regions.size() <= room) {
    return std::nullopt;
  }
  return RegionError{RegionErrorCode::kTooMany, 0, 0, "regions", regions.size(), room};
}

std::optional<RegionError> check_all(Regions regions, Indexes scratch) {
  for (const Region& region : regions) {
    if (const auto error = check_region(region)) {
      return error;
    }
  }
  const Indexes by_slot = select(regions, scratch, [](const Region&) { return true; });
  sort_by(regions, by_slot, slot_key);
  return check_slots(regions, by_slot);
}

}  // namespace

bool is_mapped(const Region& region, LookupRule rule) {
  return has_gpa(region) && (rule != LookupRule::kSlotOrder || region.address_space == 0);
}

std::expected<RegionMap, RegionError> RegionMap::build(Regions regions, RegionScratch scratch) {
  if (const auto error = check_count(regions, scratch)) {
    return std::unexpected(*error);
  }
  if (const auto error = check_all(regions, scratch.by_hva)) {
    return std::unexpected(*error);
  }
  const Indexes by_gpa = select(regions, scratch.by_gpa, has_gpa);
  sort_by(regions, by_gpa, gpa_key);
  if (const auto error = check_overlaps(regions, by_gpa)) {
    return std::unexpected(*error);
  }
  const Indexes by_hva = select(regions, scratch.by_hva, has_hva);
  sort_by(regions, by_hva, hva_key);
  fill_ends(regions, by_hva, scratch.hva_end, 0, by_hva.size());

  RegionMap map;
  map.regions_ = regions;
  map.by_hva_ = by_hva;
  map.hva_end_ = scratch.hva_end.first(by_hva.size());
  map.by_gpa_ = by_gpa;
  return map;
}

struct RegionMap::Search {
  std::uint64_t hva;
  LookupRule rule;
  std::optional<std::uint32_t> best;
  Rank best_rank{};

  void consider(const Region& region, std::uint32_t index) {
    const Rank candidate = rank(region, rule);
    if (!best || candidate < best_rank) {
      best = index;
      best_rank = candidate;
    }
  }
};

// Recurses at most log2(kMaxRegions) = 15 deep.
void RegionMap::visit(Search& search, std::size_t low, std::size_t high) const {
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (hva_end_[middle] <= search.hva) {
      return;  // everything in this subtree ends before the address
    }
    const Region& region = regions_[by_hva_[middle]];
    if (region.hva > search.hva) {
      high = middle;  // and so do all that come after it
      continue;
    }
    if (search.hva - region.hva < region.size) {
      search.consider(region, by_hva_[middle]);
    }
    visit(search, low, middle);
    low = middle + 1;
  }
}

std::optional<std::uint32_t> RegionMap::find_hva(std::uint64_t hva, LookupRule rule) const {
  Search search{hva, rule, std::nullopt};
  visit(search, 0, by_hva_.size());
  return search.best;
}

std::optional<std::uint32_t> RegionMap::find_gpa(std::uint16_t address_space,
                                                 std::uint64_t gpa) const {
  const std::tuple wanted{address_space, gpa};
  const auto after = std::upper_bound(
      by_gpa_.begin(), by_gpa_.end(), wanted,
      [&](const auto& key, std::uint32_t index) { return key < gpa_key(regions_[index]); });
  if (after == by_gpa_.begin()) {
    return std::nullopt;
  }
  const std::uint32_t index = *(after - 1);
  const Region& region = regions_[index];
  const bool inside = region.address_space == address_space && gpa - region.gpa < region.size;
  return inside ? std::optional(index) : std::nullopt;
}

}  // namespace memfail::decision
