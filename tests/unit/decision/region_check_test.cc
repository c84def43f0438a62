// SPDX-License-Identifier: BSD-3-Clause
//
// What is refused, and how it is named.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sidecar/decision/region_map.h"

namespace memfail::decision {
namespace {

constexpr std::uint64_t kHva = 0x7f0000000000;
constexpr std::uint64_t kTop = ~std::uint64_t{0xFFF};  // 2^64 - 4096

RegionError refusal(const std::vector<Region>& regions, std::size_t room = kMaxRegions) {
  std::vector<std::uint32_t> by_hva(room), by_gpa(room);
  std::vector<std::uint64_t> hva_end(room);
  const auto map = RegionMap::build(regions, {by_hva, hva_end, by_gpa});
  EXPECT_FALSE(map.has_value());
  return map.has_value() ? RegionError{} : map.error();
}

bool is_accepted(const std::vector<Region>& regions) {
  std::vector<std::uint32_t> by_hva(regions.size()), by_gpa(regions.size());
  std::vector<std::uint64_t> hva_end(regions.size());
  return RegionMap::build(regions, {by_hva, hva_end, by_gpa}).has_value();
}

void expect(const RegionError& error, RegionErrorCode code, std::string_view field,
            std::uint64_t value, std::uint64_t limit) {
  EXPECT_EQ(error.code, code);
  EXPECT_EQ(error.field, field);
  EXPECT_EQ(error.value, value);
  EXPECT_EQ(error.limit, limit);
}

std::string line(const RegionError& error) {
  char buffer[256];
  EXPECT_LT(format_region_error(buffer, sizeof buffer, error), 256);
  return buffer;
}

TEST(RegionCheck, RefusesAnEmptyRegion) {
  expect(refusal({{0, 0, kHva, 4096, 5, 0, 0}}), RegionErrorCode::kEmpty, "size", 0, 4096);
}

TEST(RegionCheck, RefusesWhatIsNotPageAlignedByField) {
  expect(refusal({{8, 4096, kHva, 4096, 5, 0, 0}}), RegionErrorCode::kUnaligned, "gpa", 8, 4096);
  expect(refusal({{0, 4097, kHva, 4096, 5, 0, 0}}), RegionErrorCode::kUnaligned, "size", 4097,
         4096);
  const RegionError error = refusal({{0, 4096, kHva + 1, 4096, 5, 0, 0}});
  expect(error, RegionErrorCode::kUnaligned, "hva", kHva + 1, 4096);
  EXPECT_EQ(error.slot, 5u);
  EXPECT_EQ(line(error),
            "region slot 5: hva = 0x7f0000000001, limit 0x1000: not a multiple of the limit");
}

TEST(RegionCheck, DoesNotLookAtTheHostAddressOfARegionWithoutOne) {
  EXPECT_TRUE(is_accepted({{0, 4096, 1, 4096, 5, 0, kRegionNoHva}}));
}

TEST(RegionCheck, RefusesBackingPagesThatNoKernelHas) {
  for (const std::uint64_t size :
       {0ull, 1ull, 2048ull, 6000ull, 12288ull, 1ull << 31, 1ull << 63}) {
    expect(refusal({{0, 4096, kHva, size, 5, 0, 0}}), RegionErrorCode::kBadPageSize, "page_size",
           size, 1 << 30);
  }
  for (const std::uint64_t size : {1ull << 12, 1ull << 21, 1ull << 30}) {
    EXPECT_TRUE(is_accepted({{0, 4096, kHva, size, 5, 0, 0}}));
  }
}

TEST(RegionCheck, RefusesRangesThatWrapAround) {
  expect(refusal({{kTop, 8192, kHva, 4096, 5, 0, 0}}), RegionErrorCode::kWraps, "gpa+size", 8192,
         0);
  expect(refusal({{0, kTop, kHva, 4096, 5, 0, 0}}), RegionErrorCode::kWraps, "hva+size", kTop,
         ~kHva & kTop);
  // The end itself must be a number.
  expect(refusal({{kTop, 4096, kHva, 4096, 5, 0, 0}}), RegionErrorCode::kWraps, "gpa+size", 4096,
         0);
  EXPECT_TRUE(is_accepted({{kTop - 4096, 4096, kHva, 4096, 5, 0, 0}}));
}

TEST(RegionCheck, RefusesOverlapInGuestAddressesOfOneAddressSpace) {
  const Region low{0x10000, 0x3000, kHva, 4096, 1, 0, 0};
  Region high{0x12000, 0x1000, kHva + 0x10000, 4096, 2, 0, 0};
  const RegionError error = refusal({high, low});
  expect(error, RegionErrorCode::kOverlap, "gpa", 0x12000, 0x13000);
  EXPECT_EQ(error.slot, 2u);
  EXPECT_EQ(error.other_slot, 1u);
  EXPECT_EQ(line(error),
            "region slot 2: gpa = 0x12000, limit 0x13000 (slot 1): overlaps another in guest "
            "addresses; the limit is where that one ends");
  high.address_space = 1;
  EXPECT_TRUE(is_accepted({high, low}));
  high.address_space = 0;
  high.gpa = 0x13000;  // adjacent
  EXPECT_TRUE(is_accepted({high, low}));
}

TEST(RegionCheck, FindsOverlapThatHidesBehindAnInnerRegion) {
  // Sorted by gpa: outer, inner, tail; the tail overlaps the outer one only, but
  // the inner one is found first.
  EXPECT_EQ(refusal({{0, 0x10000, kHva, 4096, 1, 0, 0},
                     {0x1000, 0x1000, kHva, 4096, 2, 0, 0},
                     {0x8000, 0x1000, kHva, 4096, 3, 0, 0}})
                .code,
            RegionErrorCode::kOverlap);
}

TEST(RegionCheck, AcceptsHostAddressesThatOverlap) {
  EXPECT_TRUE(is_accepted({{0, 0x4000, kHva, 4096, 1, 0, 0},
                           {0x10000, 0x4000, kHva, 4096, 2, 0, 0},
                           {0x20000, 0x2000, kHva + 0x1000, 4096, 3, 0, 0}}));
}

TEST(RegionCheck, AcceptsManyRegionsThatTheGuestCannotSee) {
  EXPECT_TRUE(is_accepted({{wire::kNoAddress, 4096, kHva, 4096, 1, 0, 0},
                           {wire::kNoAddress, 4096, kHva, 4096, 2, 0, 0}}));
}

TEST(RegionCheck, RefusesASlotThatIsInUse) {
  const RegionError error = refusal({{0, 4096, kHva, 4096, 7, 0, 0},
                                     {0x10000, 4096, kHva, 4096, 8, 0, 0},
                                     {0x20000, 4096, kHva, 4096, 7, 1, 0}});
  expect(error, RegionErrorCode::kDuplicateSlot, "slot", 7, 1);
  EXPECT_EQ(error.slot, 7u);
}

TEST(RegionCheck, RefusesOneRegionTooMany) {
  std::vector<Region> regions(kMaxRegions + 1);
  const RegionError error = refusal(regions, kMaxRegions + 1);
  expect(error, RegionErrorCode::kTooMany, "regions", 32769, 32768);
  EXPECT_EQ(line(error), "regions = 32769, limit 32768: too many");
}

TEST(RegionCheck, RefusesMoreRegionsThanTheScratchHolds) {
  expect(refusal(std::vector<Region>(3), 2), RegionErrorCode::kTooMany, "regions", 3, 2);
}

TEST(RegionCheck, CutsTheLineToTheBuffer) {
  char buffer[7];
  EXPECT_GT(format_region_error(buffer, sizeof buffer, refusal(std::vector<Region>(3), 2)), 7);
  EXPECT_STREQ(buffer, "region");
}

}  // namespace
}  // namespace memfail::decision
