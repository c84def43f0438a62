// SPDX-License-Identifier: BSD-3-Clause
#include "shm/line.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace memfail::shm {
namespace {

constexpr LineKey kKey{0x1122334455667788, 0x99AABBCCDDEEFF00, 3};
constexpr std::uint64_t kN = 41;

struct alignas(64) Memory {
  std::array<std::byte, wire::kLineSize> bytes{};
  std::byte* at() { return bytes.data(); }
};

template <typename Line>
Line random_line(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::array<std::uint64_t, 8> words{};
  for (auto& word : words) word = random();
  Line line;
  std::memcpy(static_cast<void*>(&line), words.data(), sizeof line);
  return line;
}

template <typename Line>
bool same_payload(const Line& a, const Line& b) {
  const auto* x = reinterpret_cast<const std::byte*>(&a);
  const auto* y = reinterpret_cast<const std::byte*>(&b);
  const std::size_t length = kCheckedEnd<Line> - wire::kPayloadOffset;
  return std::memcmp(x + wire::kPayloadOffset, y + wire::kPayloadOffset, length) == 0;
}

template <typename Line>
class EveryLine : public ::testing::Test {};
using Lines =
    ::testing::Types<wire::ReportLine, wire::SnapshotLine, wire::OutcomeLine, wire::ReplyLine>;
TYPED_TEST_SUITE(EveryLine, Lines);

TYPED_TEST(EveryLine, ThatWasCommittedIsReadBackAsItWasWritten) {
  for (std::uint64_t n : {1UL, 2UL, 4UL, 1UL << 32, (1UL << 62) + 5}) {
    Memory memory;
    const auto line = random_line<TypeParam>(n);
    write_line(memory.at(), line, kKey, n);
    TypeParam out;
    ASSERT_EQ(read_line(memory.at(), kKey, n, out), LineState::kCommitted);
    EXPECT_TRUE(same_payload(line, out));
    EXPECT_EQ(out.word(), 2 * n);
  }
}

TYPED_TEST(EveryLine, NeverWrittenOrHalfWrittenIsOther) {
  Memory memory;
  TypeParam out;
  EXPECT_EQ(read_line(memory.at(), kKey, 1, out), LineState::kOther);
  write_line(memory.at(), random_line<TypeParam>(1), kKey, kN);
  store_word(memory.at(), wire::kWordOffset, writing_word(kN + 4));
  EXPECT_EQ(read_line(memory.at(), kKey, kN, out), LineState::kOther);
  EXPECT_EQ(read_line(memory.at(), kKey, kN + 4, out), LineState::kOther);
}

// Word: another incident, or one being written. The rest: the CRC.
TYPED_TEST(EveryLine, WithAnyOneBitFlippedIsRefused) {
  Memory memory;
  write_line(memory.at(), random_line<TypeParam>(2), kKey, kN);
  for (std::size_t bit = 0; bit < kCheckedEnd<TypeParam> * 8; ++bit) {
    const auto mask = static_cast<std::byte>(1U << (bit % 8));
    memory.bytes[bit / 8] ^= mask;
    TypeParam out;
    const LineState expected = bit < 64 ? LineState::kOther : LineState::kCorrupt;
    ASSERT_EQ(read_line(memory.at(), kKey, kN, out), expected) << "bit " << bit;
    memory.bytes[bit / 8] ^= mask;
  }
  TypeParam out;
  EXPECT_EQ(read_line(memory.at(), kKey, kN, out), LineState::kCommitted);
}

TYPED_TEST(EveryLine, WithAnyTwoBitsFlippedIsRefused) {
  Memory memory;
  write_line(memory.at(), random_line<TypeParam>(3), kKey, kN);
  const std::size_t end = kCheckedEnd<TypeParam> * 8;
  for (std::size_t a = wire::kCrcOffset * 8; a < end; ++a) {
    for (std::size_t b = a + 1; b < end; b += 7) {
      memory.bytes[a / 8] ^= static_cast<std::byte>(1U << (a % 8));
      memory.bytes[b / 8] ^= static_cast<std::byte>(1U << (b % 8));
      TypeParam out;
      ASSERT_EQ(read_line(memory.at(), kKey, kN, out), LineState::kCorrupt) << a << " " << b;
      memory.bytes[a / 8] ^= static_cast<std::byte>(1U << (a % 8));
      memory.bytes[b / 8] ^= static_cast<std::byte>(1U << (b % 8));
    }
  }
}

TYPED_TEST(EveryLine, OfAnotherSessionLaneOrIncidentIsRefused) {
  Memory memory;
  write_line(memory.at(), random_line<TypeParam>(4), kKey, kN);
  TypeParam out;
  for (int bit = 0; bit < 64; ++bit) {
    const std::uint64_t flip = 1UL << bit;
    const LineKey low{kKey.session_low ^ flip, kKey.session_high, kKey.lane};
    const LineKey high{kKey.session_low, kKey.session_high ^ flip, kKey.lane};
    EXPECT_EQ(read_line(memory.at(), low, kN, out), LineState::kCorrupt);
    EXPECT_EQ(read_line(memory.at(), high, kN, out), LineState::kCorrupt);
  }
  for (int bit = 0; bit < 32; ++bit) {
    const LineKey lane{kKey.session_low, kKey.session_high, kKey.lane ^ (1U << bit)};
    EXPECT_EQ(read_line(memory.at(), lane, kN, out), LineState::kCorrupt);
  }
  for (std::uint64_t n = kN - 4; n <= kN + 4; ++n) {
    if (n == kN) continue;
    EXPECT_EQ(read_line(memory.at(), kKey, n, out), LineState::kOther);
    // Replayed under another incident's word: the CRC covers n itself.
    store_word(memory.at(), wire::kWordOffset, committed_word(n));
    EXPECT_EQ(read_line(memory.at(), kKey, n, out), LineState::kCorrupt);
    store_word(memory.at(), wire::kWordOffset, committed_word(kN));
  }
}

TYPED_TEST(EveryLine, ThatIsRefusedLeavesTheCallersCopyUntouched) {
  Memory memory;
  write_line(memory.at(), random_line<TypeParam>(5), kKey, kN);
  memory.bytes[20] ^= std::byte{1};
  const auto before = random_line<TypeParam>(6);
  TypeParam out = before;
  EXPECT_EQ(read_line(memory.at(), kKey, kN, out), LineState::kCorrupt);
  EXPECT_EQ(read_line(memory.at(), kKey, kN + 1, out), LineState::kOther);
  EXPECT_EQ(std::memcmp(&out, &before, sizeof out), 0);
}

// Both words belong to others than the line's writer, or change after its commit.
template <typename Line>
void last_word_is_its_own() {
  Memory memory;
  constexpr std::size_t kLast = 56;
  store_word(memory.at(), kLast, 0x1234567812345678);
  const auto line = random_line<Line>(7);
  write_line(memory.at(), line, kKey, kN);
  EXPECT_EQ(load_word(memory.at(), kLast), 0x1234567812345678U) << "write_line touched it";
  for (int bit = 0; bit < 64; ++bit) {
    store_word(memory.at(), kLast, 1UL << bit);
    Line out;
    ASSERT_EQ(read_line(memory.at(), kKey, kN, out), LineState::kCommitted) << bit;
    EXPECT_TRUE(same_payload(line, out));
  }
}

TEST(Line, TheClaimWordOfAnOutcomeIsOutsideItsLine) { last_word_is_its_own<wire::OutcomeLine>(); }

TEST(Line, TheRetiredWordOfAReplyIsOutsideItsLine) { last_word_is_its_own<wire::ReplyLine>(); }

TEST(Line, ACallersWordAndCrcAreNeverTakenOver) {
  Memory memory;
  const wire::ReportLine line(0xFFFF, 0xFFFF, wire::ReportKind::sigbus, wire::ThreadKind::other, 0,
                              0, 1, 2, 3, 4, 5, 6, 7, 8);
  write_line(memory.at(), line, kKey, kN);
  wire::ReportLine out;
  ASSERT_EQ(read_line(memory.at(), kKey, kN, out), LineState::kCommitted);
  EXPECT_EQ(out.word(), committed_word(kN));
  EXPECT_NE(out.crc(), 0xFFFFU);
}

}  // namespace
}  // namespace memfail::shm
