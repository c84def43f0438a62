// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/page_range.h"

#include "gtest/gtest.h"

namespace memfail::session {
namespace {

constexpr std::uint64_t kNone = wire::kNoAddress;

TEST(PageRange, APageIsNumberedByItsHostAddress) {
  EXPECT_EQ(page_number(0x7f0000001234, 0x5000), 0x7f0000001U);
  EXPECT_EQ(page_number(0, kNone), 0U);
}

TEST(PageRange, WithoutAHostAddressByItsGuestAddressApartFromTheOthers) {
  EXPECT_EQ(page_number(kNone, 0x5fff), kByGuestAddress + 5);
  EXPECT_EQ(page_number(kNone, kNone), std::nullopt);
}

TEST(PageRange, ABackingPageIsAlignedToItself) {
  struct Row {
    PageNumber page;
    std::uint64_t size;
    PageRange expected;
  };
  const Row rows[] = {
      {0x12345, 4096, {0x12345, 1}},
      {0x12345, 2 << 20, {0x12200, 512}},
      {0x123456, 1 << 30, {0x100000, 0x40000}},
      {0x12345, 1 << 16, {0x12340, 16}},  // VMM memory: any lsb
      {kByGuestAddress + 0x12345, 2 << 20, {kByGuestAddress + 0x12200, 512}},
      // No size that a backing has:
      {0x12345, 0, {0x12345, 1}},
      {0x12345, 8191, {0x12345, 1}},
      {0x12345, 3 << 20, {0x12200, 512}},
      {0x123456, ~std::uint64_t{0}, {0x100000, 0x40000}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(backing_page(row.page, row.size), row.expected) << std::hex << row.size;
  }
}

TEST(PageRange, TheLastPagesDoNotWrap) {
  const PageNumber last = *page_number(~std::uint64_t{0} - 1, kNone);
  const PageRange range = backing_page(last, 1 << 30);
  EXPECT_TRUE(range.contains(last));
  EXPECT_EQ(range.end(), last + 1);
}

TEST(PageRange, SaysItsAddressesInBytes) {
  EXPECT_EQ((PageRange{0x12200, 512}).hva(), 0x12200000U);
  EXPECT_EQ((PageRange{0x12200, 512}).bytes(), std::uint64_t{2} << 20);
  EXPECT_EQ((PageRange{kByGuestAddress + 5, 1}).hva(), kNone);
}

}  // namespace
}  // namespace memfail::session
