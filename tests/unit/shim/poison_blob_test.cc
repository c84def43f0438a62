// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/poison_blob.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "shm/crc32c.h"

namespace memfail::test {
namespace {

using shim::PoisonRecord;
using ::testing::Each;
using ::testing::ElementsAre;

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
const PoisonRecord kUntouched{1, 2, 3};

std::vector<std::byte> blob_of(std::vector<PoisonRecord> pages) {
  std::vector<std::byte> blob(shim::poison_blob_size(pages.size()));
  const auto size = shim::write_poison_blob(pages, blob);
  EXPECT_TRUE(size) << size.error().field << ' ' << size.error().what;
  EXPECT_EQ(size.value_or(0), blob.size());
  return blob;
}

// An entry that no writer of ours writes, made valid but for itself.
void seal(std::vector<std::byte>& blob) {
  const std::span<const std::byte> bytes(blob);
  const std::uint32_t crc =
      shm::crc32c_table(shm::crc32c_table(0, bytes.first(12)), bytes.subspan(16));
  std::memcpy(blob.data() + 12, &crc, sizeof crc);
}

template <typename T>
void put(std::vector<std::byte>& blob, std::size_t at, T value) {
  std::memcpy(blob.data() + at, &value, sizeof value);
}

// The refusal of `blob`; that nothing was handed out.
shm::Error refusal(const std::vector<std::byte>& blob, std::size_t room = 8) {
  std::vector<PoisonRecord> pages(room, kUntouched);
  const auto count = shim::read_poison_blob(blob, pages);
  EXPECT_FALSE(count);
  EXPECT_THAT(pages, Each(kUntouched));
  return count ? shm::Error{} : count.error();
}

// Field, value and limit of a refusal, as a line.
std::string words(const shm::Error& error) {
  return std::string(error.field) + ' ' + std::to_string(error.value) + ' ' +
         std::to_string(error.limit);
}

const std::vector<PoisonRecord> kTwo{{0x5000, 0x1000, shim::kPoisonTold},
                                     {kGiB, 0x200000, shim::kPoisonTold | shim::kPoisonDrill}};

TEST(PoisonBlob, WhatIsWrittenIsRead) {
  const auto blob = blob_of(kTwo);
  std::vector<PoisonRecord> pages(3, kUntouched);
  const auto count = shim::read_poison_blob(blob, pages);
  ASSERT_TRUE(count) << count.error().field;
  EXPECT_EQ(*count, 2U);
  EXPECT_THAT(pages, ElementsAre(kTwo[0], kTwo[1], kUntouched));
}

TEST(PoisonBlob, TheBytesAreThoseOfTheFormat) {
  // By hand; the checksum by another program.
  const std::array<unsigned char, 40> bytes{
      'M', 'F',  'P', 'L', 1, 0, 24, 0, 1, 0, 0, 0, 0x95, 0xeb, 0xfb, 0x86,  //
      0,   0x50, 0,   0,   0, 0, 0,  0,                          // gpa 0x5000
      0,   0x10, 0,   0,   0, 0, 0,  0,                          // size 0x1000
      1,   0,    0,   0,   0, 0, 0,  0};                         // told
  const auto blob = blob_of({kTwo[0]});
  ASSERT_EQ(blob.size(), bytes.size());
  EXPECT_EQ(std::memcmp(blob.data(), bytes.data(), bytes.size()), 0);
}

TEST(PoisonBlob, AnEmptyListIsAList) {
  const auto blob = blob_of({});
  EXPECT_EQ(blob.size(), 16U);
  const auto count = shim::read_poison_blob(blob, {});
  ASSERT_TRUE(count);
  EXPECT_EQ(*count, 0U);
}

TEST(PoisonBlob, TheWriterPutsThePagesInOrder) {
  EXPECT_EQ(blob_of({kTwo[1], kTwo[0]}), blob_of(kTwo));
}

TEST(PoisonBlob, TheLastPageThatThereIsFits) {
  const PoisonRecord last{~std::uint64_t{0} - 0x1FFF, 0x1000, 0};
  std::array<PoisonRecord, 1> pages{};
  ASSERT_TRUE(shim::read_poison_blob(blob_of({last}), pages));
  EXPECT_EQ(pages[0], last);
}

TEST(PoisonBlob, CutAnywhereItIsRefused) {
  const auto blob = blob_of(kTwo);
  for (std::size_t size = 0; size < blob.size(); ++size) {
    const std::vector<std::byte> cut(blob.begin(), blob.begin() + static_cast<long>(size));
    const auto error = refusal(cut);
    EXPECT_EQ(words(error), size < 16 ? "poison list bytes " + std::to_string(size) + " 16"
                                      : "poison list count 2 " + std::to_string((size - 16) / 24));
  }
}

TEST(PoisonBlob, WithAnyBitTurnedItIsRefused) {
  const auto blob = blob_of(kTwo);
  for (std::size_t bit = 0; bit < blob.size() * 8; ++bit) {
    auto damaged = blob;
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
    refusal(damaged);
  }
}

TEST(PoisonBlob, WithBytesBehindItIsRefused) {
  auto blob = blob_of(kTwo);
  blob.push_back(std::byte{0});
  EXPECT_EQ(words(refusal(blob)), "poison list bytes 65 64");
}

TEST(PoisonBlob, OfAnotherMagicItIsRefused) {
  auto blob = blob_of(kTwo);
  put<std::uint32_t>(blob, 0, 7);
  seal(blob);
  EXPECT_EQ(words(refusal(blob)), "poison list magic 7 1280329293");
}

// Before all else: a newer version may lay out differently what comes behind.
TEST(PoisonBlob, OfANewerVersionItIsRefusedAsSuch) {
  auto blob = blob_of(kTwo);
  put<std::uint16_t>(blob, 4, 2);
  put<std::uint16_t>(blob, 6, 32);
  const auto error = refusal(blob);
  EXPECT_EQ(words(error), "poison list version 2 1");
  EXPECT_EQ(std::string(error.what), "is newer than this program");
  put<std::uint16_t>(blob, 4, 0);
  EXPECT_EQ(words(refusal(blob)), "poison list version 0 1");
}

TEST(PoisonBlob, OfAnotherEntrySizeItIsRefused) {
  auto blob = blob_of(kTwo);
  put<std::uint16_t>(blob, 6, 48);
  seal(blob);
  EXPECT_EQ(words(refusal(blob)), "poison list entry size 48 24");
}

TEST(PoisonBlob, ACountThatLiesIsRefused) {
  auto blob = blob_of(kTwo);
  for (const std::uint32_t count : {3U, 0x2AAAAAACU, 0xFFFFFFFFU}) {
    put(blob, 8, count);
    seal(blob);
    EXPECT_EQ(words(refusal(blob)), "poison list count " + std::to_string(count) + " 2");
  }
  put<std::uint32_t>(blob, 8, 1);
  seal(blob);
  EXPECT_EQ(words(refusal(blob)), "poison list bytes 64 40");
}

TEST(PoisonBlob, MorePagesThanThereIsRoomForAreRefused) {
  EXPECT_EQ(words(refusal(blob_of(kTwo), 1)), "poison list count 2 1");
  EXPECT_EQ(words(refusal(blob_of(kTwo), 0)), "poison list count 2 0");
}

TEST(PoisonBlob, AWrongChecksumIsRefused) {
  auto blob = blob_of({});
  put<std::uint32_t>(blob, 12, 0);
  const auto error = refusal(blob);
  EXPECT_EQ(std::string(error.field), "poison list CRC");
  EXPECT_EQ(error.value, 0U);
}

struct BadPage {
  PoisonRecord page;
  const char* words;
};

TEST(PoisonBlob, APageThatCannotBeIsRefusedWithAllOthers) {
  const std::vector<BadPage> cases{
      {{0x5001, 0x1000, 0}, "poison list gpa 20481 4096"},
      {{~std::uint64_t{0}, 0x1000, 0}, "poison list gpa 18446744073709551615 4096"},
      {{0x5000, 0, 0}, "poison list page size 0 4096"},
      {{0x5000, 0x1001, 0}, "poison list page size 4097 4096"},
      {{0x5000, 2 * kGiB, 0}, "poison list page size 2147483648 1073741824"},
      {{~std::uint64_t{0} - 0xFFF, 0x1000, 0},
       "poison list gpa 18446744073709547520 18446744073709547519"},
      {{3 * kGiB, 0x1000, 4}, "poison list flags 4 3"},
      {{kGiB + 0x1FF000, 0x1000, 0}, "poison list gpa 1075834880 1075838976"},  // overlaps
      {{kGiB, 0x200000, 0}, "poison list gpa 1073741824 1075838976"},           // the same
      {{0x5000, 0x1000, 0}, "poison list gpa 20480 1075838976"},                // not in order
  };
  for (const BadPage& bad : cases) {
    auto blob = blob_of({kTwo[0], kTwo[1], {2 * kGiB, 0x1000, 0}});
    put(blob, 16 + 48, bad.page.gpa);
    put(blob, 16 + 48 + 8, bad.page.size);
    put(blob, 16 + 48 + 16, bad.page.flags);
    seal(blob);
    EXPECT_EQ(words(refusal(blob)), bad.words);
  }
}

TEST(PoisonBlob, TheWordThatIsZeroMustBe) {
  auto blob = blob_of(kTwo);
  put<std::uint32_t>(blob, 16 + 20, 9);
  seal(blob);
  EXPECT_EQ(words(refusal(blob)), "poison list entry's last word 9 0");
}

TEST(PoisonBlob, TheWriterRefusesWhatTheReaderWould) {
  for (std::vector<PoisonRecord> pages : std::vector<std::vector<PoisonRecord>>{
           {{0x5001, 0x1000, 0}},
           {{0x5000, 0, 0}},
           {{0x5000, 0x1000, 4}},
           {{0x5000, 0x2000, 0}, {0x6000, 0x1000, 0}},
           {{0x6000, 0x1000, 0}, {0x5000, 0x2000, 0}},
       }) {
    std::vector<std::byte> blob(1024, std::byte{0xEE});
    EXPECT_FALSE(shim::write_poison_blob(pages, blob));
    EXPECT_THAT(blob, Each(std::byte{0xEE}));
  }
}

TEST(PoisonBlob, TheWriterRefusesTooLittleRoom) {
  auto pages = kTwo;
  std::vector<std::byte> blob(63, std::byte{0xEE});
  const auto size = shim::write_poison_blob(pages, blob);
  ASSERT_FALSE(size);
  EXPECT_EQ(words(size.error()), "poison list bytes 64 63");
  EXPECT_THAT(blob, Each(std::byte{0xEE}));
}

TEST(PoisonBlob, RoomThatIsLeftIsLeftAlone) {
  auto pages = kTwo;
  std::vector<std::byte> blob(70, std::byte{0xEE});
  EXPECT_EQ(shim::write_poison_blob(pages, blob).value_or(0), 64U);
  EXPECT_THAT(std::vector<std::byte>(blob.begin() + 64, blob.end()), Each(std::byte{0xEE}));
}

}  // namespace
}  // namespace memfail::test
