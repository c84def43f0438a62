// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/classify.h"

#include <gtest/gtest.h>

#include <array>

#include "schema/control_generated.h"

namespace memfail::decision {
namespace {

constexpr std::uint64_t kHva = 0x7f0000000000;
constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kGiB = 1 << 30;

static_assert(kRegionReadOnly == static_cast<std::uint16_t>(wire::RegionFlag::read_only));
static_assert(kRegionPrivateFile == static_cast<std::uint16_t>(wire::RegionFlag::private_file));
static_assert(kRegionPersistent == static_cast<std::uint16_t>(wire::RegionFlag::persistent));
static_assert(kRegionPinned == static_cast<std::uint16_t>(wire::RegionFlag::pinned));
static_assert(kRegionNoHva == static_cast<std::uint16_t>(wire::RegionFlag::no_hva));

class Classify : public ::testing::Test {
 protected:
  Classify() {
    const auto map = RegionMap::build(regions_, {by_hva_, hva_end_, by_gpa_});
    EXPECT_TRUE(map.has_value());
    map_ = *map;
  }

  Classification signal(std::uint64_t hva, std::uint8_t lsb = 12,
                        LookupRule rule = LookupRule::kPreferWritable) const {
    return classify(map_, {wire::ReportKind::sigbus, true, hva, 0, lsb}, rule);
  }
  Classification exit(std::uint64_t gpa) const {
    return classify(map_, {wire::ReportKind::mmio_exit, false, 0, gpa, 0},
                    LookupRule::kPreferWritable);
  }

  const std::array<Region, 6> regions_{{
      {0, kMiB, kHva, 4096, 0, 0, 0},
      {0x100000000, 4 * kMiB, kHva + 0x40000000, 2 * kMiB, 1, 0, 0},
      {wire::kNoAddress, kMiB, kHva + 0x80000000, 4096, 2, 0, 0},
      {0xA0000000, kMiB, kHva + 0x90000000, 4096, 3, 1, 0},            // SMM only
      {0x200000000, kMiB, 0, 4096, 4, 0, kRegionNoHva},                // guest_memfd
      {0x400000000, 2 * kGiB, kHva + 0x100000000, kGiB, 5, 0, 0},
  }};
  std::array<std::uint32_t, 6> by_hva_{}, by_gpa_{};
  std::array<std::uint64_t, 6> hva_end_{};
  RegionMap map_;
};

TEST_F(Classify, NamesTheSmallPageThatWasReported) {
  const Classification result = signal(kHva + 0x5123);
  EXPECT_EQ(result.address, AddressClass::kGuestRam);
  EXPECT_EQ(result.gpa, 0x5000u);
  EXPECT_EQ(result.hva, kHva + 0x5123);
  EXPECT_EQ(result.region, 0u);
  EXPECT_EQ(result.lost_size, 4096u);
}

TEST_F(Classify, LosesTheWholeBackingPageWhateverTheSignalSays) {
  for (const unsigned lsb : {0u, 12u, 21u, 30u}) {
    const Classification result =
        signal(kHva + 0x40000000 + 0x201123, static_cast<std::uint8_t>(lsb));
    EXPECT_EQ(result.address, AddressClass::kGuestRam);
    EXPECT_EQ(result.gpa, 0x100000000u + 0x201000);
    EXPECT_EQ(result.lost_size, 2 * kMiB);
  }
}

TEST_F(Classify, LosesAWholeGibibyteWhereTheBackingPageIsOne) {
  for (const unsigned lsb : {12u, 21u, 30u}) {
    for (const std::uint64_t offset : {std::uint64_t{0}, kGiB - 1, kGiB + 0x201123}) {
      const Classification result =
          signal(kHva + 0x100000000 + offset, static_cast<std::uint8_t>(lsb));
      EXPECT_EQ(result.address, AddressClass::kGuestRam);
      EXPECT_EQ(result.gpa, 0x400000000 + (offset & ~std::uint64_t{0xFFF}));
      EXPECT_EQ(result.lost_size, kGiB);
    }
  }
  EXPECT_EQ(exit(0x400000000 + kGiB).lost_size, kGiB);
}

TEST_F(Classify, KnowsRamThatTheGuestCannotSee) {
  const Classification result = signal(kHva + 0x80000000 + 4096);
  EXPECT_EQ(result.address, AddressClass::kGuestRamUnmapped);
  EXPECT_EQ(result.gpa, wire::kNoAddress);
  EXPECT_EQ(result.region, 2u);
  EXPECT_EQ(result.lost_size, 4096u);
}

TEST_F(Classify, TakesOtherAddressSpacesForUnmappedInSlotOrderOnly) {
  EXPECT_EQ(signal(kHva + 0x90000000).address, AddressClass::kGuestRam);
  EXPECT_EQ(signal(kHva + 0x90000000).gpa, 0xA0000000u);
  EXPECT_EQ(signal(kHva + 0x90000000, 12, LookupRule::kSlotOrder).address,
            AddressClass::kGuestRamUnmapped);
}

TEST_F(Classify, TakesEverythingElseForTheVmmsOwnMemory) {
  struct {
    std::uint8_t lsb;
    std::uint64_t lost;
  } const rows[] = {{0, 4096},         {11, 4096}, {12, 4096}, {21, 2 * kMiB},
                    {30, 1024 * kMiB}, {31, 4096}, {255, 4096}};
  for (const auto& row : rows) {
    const Classification result = signal(0x5555, row.lsb);
    EXPECT_EQ(result.address, AddressClass::kVmmMemory);
    EXPECT_EQ(result.lost_size, row.lost) << int{row.lsb};
    EXPECT_EQ(result.hva, 0x5555u);
    EXPECT_EQ(result.gpa, wire::kNoAddress);
    EXPECT_EQ(result.region, ~0u);
  }
}

TEST_F(Classify, LooksExitsUpByGuestAddress) {
  const Classification result = exit(0x100000000 + 0x1234);
  EXPECT_EQ(result.address, AddressClass::kGuestRam);
  EXPECT_EQ(result.gpa, 0x100001000u);
  EXPECT_EQ(result.hva, kHva + 0x40001234);
  EXPECT_EQ(result.lost_size, 2 * kMiB);
  EXPECT_EQ(exit(0xA0000000).region, 3u);  // found in SMM's address space
  EXPECT_EQ(exit(0x200000000).hva, wire::kNoAddress);
  EXPECT_EQ(exit(0x300000000).address, AddressClass::kVmmMemory);
  EXPECT_EQ(exit(0x300000000).hva, wire::kNoAddress);
}

TEST_F(Classify, SaysSoWhenTheKernelNamedNoAddress) {
  const auto classified = [&](std::uint64_t hva, int code) {
    const wire::ReportLine report(2, 0, wire::ReportKind::sigbus, wire::ThreadKind::vcpu_in_run, 12,
                                  0, hva, 0, 0, code, 0, 0, 0, 0);
    return classify(map_, reported_address(report), LookupRule::kPreferWritable);
  };
  const Classification result = classified(kHva, 0x80);  // whatever si_addr holds
  EXPECT_EQ(result.address, AddressClass::kNoAddress);
  EXPECT_EQ(result.lost_size, 0u);
  EXPECT_EQ(result.hva, wire::kNoAddress);
  EXPECT_EQ(classified(kHva, 4).address, AddressClass::kGuestRam);
  EXPECT_EQ(classified(0, 4).address, AddressClass::kNoAddress);
}

}  // namespace
}  // namespace memfail::decision
