// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/region_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace memfail::decision {
namespace {

constexpr std::uint64_t kHva = 0x7f0000000000;
constexpr auto kRules = {LookupRule::kPreferWritable, LookupRule::kSlotOrder};

// Owns what a map only looks at.
struct Owned {
  explicit Owned(std::vector<Region> list)
      : regions(std::move(list)),
        by_hva(regions.size()),
        by_gpa(regions.size()),
        hva_end(regions.size()) {
    const auto built = RegionMap::build(regions, {by_hva, hva_end, by_gpa});
    if (!built) {
      char line[256];
      format_region_error(line, sizeof line, built.error());
      ADD_FAILURE() << line;
      return;
    }
    map = *built;
  }
  std::vector<Region> regions;
  std::vector<std::uint32_t> by_hva, by_gpa;
  std::vector<std::uint64_t> hva_end;
  RegionMap map;
};

using Found = std::optional<std::uint32_t>;

// The same rules, by looking at every region.
bool is_better(const Region& a, const Region& b, LookupRule rule) {
  if (rule == LookupRule::kSlotOrder) {
    const bool a_seen = a.gpa != wire::kNoAddress && a.address_space == 0;
    const bool b_seen = b.gpa != wire::kNoAddress && b.address_space == 0;
    return a_seen != b_seen ? a_seen : a.slot < b.slot;
  }
  const bool a_seen = a.gpa != wire::kNoAddress;
  const bool b_seen = b.gpa != wire::kNoAddress;
  if (a_seen != b_seen) {
    return a_seen;
  }
  const bool a_writable = (a.flags & 1) == 0;
  const bool b_writable = (b.flags & 1) == 0;
  if (a_writable != b_writable) {
    return a_writable;
  }
  if (a.address_space != b.address_space) {
    return a.address_space < b.address_space;
  }
  return a.gpa != b.gpa ? a.gpa < b.gpa : a.slot < b.slot;
}

Found brute_hva(const std::vector<Region>& regions, std::uint64_t hva, LookupRule rule) {
  Found best;
  for (std::uint32_t i = 0; i < regions.size(); ++i) {
    const Region& region = regions[i];
    const bool inside =
        (region.flags & 16) == 0 && hva >= region.hva && hva < region.hva + region.size;
    if (inside && (!best || is_better(region, regions[*best], rule))) {
      best = i;
    }
  }
  return best;
}

Found brute_gpa(const std::vector<Region>& regions, std::uint16_t space, std::uint64_t gpa) {
  for (std::uint32_t i = 0; i < regions.size(); ++i) {
    const Region& region = regions[i];
    if (region.gpa != wire::kNoAddress && region.address_space == space && gpa >= region.gpa &&
        gpa < region.gpa + region.size) {
      return i;
    }
  }
  return std::nullopt;
}

TEST(RegionMap, FindsNothingWithoutRegions) {
  const Owned owned({});
  EXPECT_FALSE(owned.map.find_hva(kHva, LookupRule::kPreferWritable));
  EXPECT_FALSE(owned.map.find_gpa(0, 0));
  EXPECT_FALSE(RegionMap().find_hva(0, LookupRule::kSlotOrder));
}

TEST(RegionMap, EndsEachRegionAtItsLastByte) {
  const Owned owned({{0x1000, 0x2000, kHva, 4096, 0, 0, 0}});
  for (const LookupRule rule : kRules) {
    EXPECT_FALSE(owned.map.find_hva(kHva - 1, rule));
    EXPECT_EQ(owned.map.find_hva(kHva, rule), 0u);
    EXPECT_EQ(owned.map.find_hva(kHva + 0x1FFF, rule), 0u);
    EXPECT_FALSE(owned.map.find_hva(kHva + 0x2000, rule));
  }
  EXPECT_FALSE(owned.map.find_gpa(0, 0xFFF));
  EXPECT_EQ(owned.map.find_gpa(0, 0x1000), 0u);
  EXPECT_EQ(owned.map.find_gpa(0, 0x2FFF), 0u);
  EXPECT_FALSE(owned.map.find_gpa(0, 0x3000));
  EXPECT_FALSE(owned.map.find_gpa(1, 0x1000));
}

TEST(RegionMap, ReachesTheLastPageThatHasAnEnd) {
  const std::uint64_t last = ~std::uint64_t{0} - 0x1FFF;
  const Owned owned({{last, 4096, last, 4096, 0, 0, 0}});
  EXPECT_EQ(owned.map.find_hva(last + 4095, LookupRule::kPreferWritable), 0u);
  EXPECT_FALSE(owned.map.find_hva(last + 4096, LookupRule::kPreferWritable));
  EXPECT_FALSE(owned.map.find_hva(~std::uint64_t{0}, LookupRule::kPreferWritable));
  EXPECT_FALSE(owned.map.find_gpa(0, ~std::uint64_t{0}));
}

TEST(RegionMap, PrefersWritableRamThenTheLowestGuestAddress) {
  // Firmware: a read-only alias below 1 MiB, the device's own place below 4 GiB.
  const Owned owned({{0xE0000, 0x20000, kHva, 4096, 3, 0, kRegionReadOnly},
                     {0xFFFC0000, 0x20000, kHva, 4096, 2, 0, 0},
                     {0xFFFE0000, 0x20000, kHva, 4096, 1, 0, 0},
                     {wire::kNoAddress, 0x20000, kHva, 4096, 0, 0, 0}});
  EXPECT_EQ(owned.map.find_hva(kHva, LookupRule::kPreferWritable), 1u);
  EXPECT_EQ(owned.map.find_hva(kHva, LookupRule::kSlotOrder), 2u);
}

TEST(RegionMap, PrefersTheNormalAddressSpaceToSmm) {
  const Owned owned({{0x1000, 0x1000, kHva, 4096, 0, 1, 0}, {0x8000, 0x1000, kHva, 4096, 1, 0, 0}});
  EXPECT_EQ(owned.map.find_hva(kHva, LookupRule::kPreferWritable), 1u);
  EXPECT_EQ(owned.map.find_hva(kHva, LookupRule::kSlotOrder), 1u);
}

TEST(RegionMap, IsAViewThatCanBeCopied) {
  const Owned owned({{0x1000, 0x1000, kHva, 4096, 9, 0, 0}});
  const RegionMap copy = owned.map;
  EXPECT_EQ(copy.size(), 1u);
  EXPECT_EQ(copy[*copy.find_gpa(0, 0x1000)].slot, 9u);
  EXPECT_EQ(copy.regions().data(), owned.regions.data());
}

TEST(RegionMap, FindsEachOfAsManyRegionsAsThereMayBe) {
  std::vector<Region> regions;
  regions.reserve(kMaxRegions);
  for (std::uint32_t i = 0; i < kMaxRegions; ++i) {
    regions.push_back({i * 0x4000ull, 0x2000, kHva + i * 0x3000ull, 4096, i, 0, 0});
  }
  std::shuffle(regions.begin(), regions.end(), std::mt19937(1));
  const Owned owned(std::move(regions));
  for (std::uint32_t i = 0; i < kMaxRegions; ++i) {
    const Region& region = owned.regions[i];
    EXPECT_EQ(owned.map.find_hva(region.hva + 0x1FFF, LookupRule::kPreferWritable), i);
    EXPECT_FALSE(owned.map.find_hva(region.hva + 0x2000, LookupRule::kPreferWritable));
    EXPECT_EQ(owned.map.find_gpa(0, region.gpa), i);
    EXPECT_FALSE(owned.map.find_gpa(0, region.gpa + 0x2000));
  }
}

// Each host range holds all that come after it: the address's own depth is the
// number of matches.
TEST(RegionMap, FindsTheBestOfAliasNests) {
  std::vector<Region> regions;
  regions.reserve(kMaxRegions);
  std::uint64_t gpa = std::uint64_t{1} << 60;
  for (std::uint32_t i = 0; i < kMaxRegions; ++i) {
    const std::uint64_t size = (2ull * kMaxRegions - 2ull * i) * 4096;
    gpa -= size;  // the innermost has the lowest guest address
    regions.push_back({gpa, size, kHva + i * 4096ull, 4096, i, 0, 0});
  }
  const Owned owned(std::move(regions));
  for (std::uint32_t depth = 0; depth < kMaxRegions; depth += 97) {
    const std::uint64_t left = kHva + depth * 4096ull;
    const std::uint64_t right = kHva + (2ull * kMaxRegions - depth) * 4096ull - 1;
    EXPECT_EQ(owned.map.find_hva(left, LookupRule::kPreferWritable), depth);
    EXPECT_EQ(owned.map.find_hva(right, LookupRule::kPreferWritable), depth);
    EXPECT_EQ(owned.map.find_hva(right, LookupRule::kSlotOrder), 0u);
  }
}

// Guest ranges that do not overlap, host ranges that do, in any order.
std::vector<Region> random_regions(std::mt19937_64& random, std::size_t count) {
  const auto below = [&](std::uint64_t limit) { return random() % limit; };
  std::vector<Region> regions;
  std::uint64_t next_gpa[2] = {0, 0};
  for (std::uint32_t i = 0; i < count; ++i) {
    Region region;
    region.size = (1 + below(20)) * 4096;
    region.hva = kHva + below(200) * 4096;
    region.slot = i;
    region.address_space = below(4) == 0 ? 1 : 0;
    const unsigned read_only = below(3) == 0 ? kRegionReadOnly : 0u;
    const unsigned no_hva = below(10) == 0 ? kRegionNoHva : 0u;
    region.flags = static_cast<std::uint16_t>(read_only | no_hva);
    if (below(5) != 0) {
      std::uint64_t& gpa = next_gpa[region.address_space];
      region.gpa = gpa + below(3) * 4096;
      gpa = region.gpa + region.size;
    }
    regions.push_back(region);
  }
  std::shuffle(regions.begin(), regions.end(), random);
  for (std::uint32_t i = 0; i < count; ++i) {
    regions[i].slot = static_cast<std::uint32_t>((std::size_t{i} * 7919) % count);
  }
  return regions;
}

TEST(RegionMap, AgreesWithALookAtEveryRegion) {
  std::mt19937_64 random(20260727);
  for (int round = 0; round < 300; ++round) {
    const Owned owned(random_regions(random, 1 + random() % 60));
    for (std::uint64_t page = 0; page < 225; ++page) {
      const std::uint64_t offset = page * 4096 + random() % 4096;
      for (const LookupRule rule : kRules) {
        ASSERT_EQ(owned.map.find_hva(kHva + offset, rule),
                  brute_hva(owned.regions, kHva + offset, rule))
            << "round " << round << " page " << page;
      }
      for (std::uint16_t space = 0; space < 3; ++space) {
        ASSERT_EQ(owned.map.find_gpa(space, offset), brute_gpa(owned.regions, space, offset));
      }
    }
  }
}

}  // namespace
}  // namespace memfail::decision
