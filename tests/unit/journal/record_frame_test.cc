// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/record_frame.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

namespace memfail::journal {
namespace {

const FrameKey kKey{wire::Id128(0x1122334455667788u, 0x99AABBCCDDEEFF00u), 7};

std::vector<std::byte> payload_of(std::size_t size) {
  std::vector<std::byte> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i * 37 + 1);
  return out;
}

std::vector<std::byte> frame_of(std::span<const std::byte> payload, const FrameKey& key = kKey) {
  std::vector<std::byte> out(frame_size(payload.size()));
  EXPECT_EQ(write_frame(out, key, {RecordType::kEvent, 41, 12, payload}), out.size());
  return out;
}

TEST(RecordFrame, ReadsBackWhatWasWrittenForEveryLengthAroundTheAlignment) {
  for (std::size_t length = 0; length <= 40; ++length) {
    const std::vector<std::byte> payload = payload_of(length);
    const std::vector<std::byte> bytes = frame_of(payload);
    EXPECT_EQ(bytes.size() % 8, 0u);
    const Frame frame = read_frame(bytes, kKey);
    ASSERT_EQ(frame.state, FrameState::kWhole) << length;
    EXPECT_EQ(frame.size, bytes.size());
    EXPECT_EQ(frame.record.type, RecordType::kEvent);
    EXPECT_EQ(frame.record.number, 41u);
    EXPECT_EQ(frame.record.seq, 12u);
    EXPECT_TRUE(std::ranges::equal(frame.record.payload, payload));
  }
}

TEST(RecordFrame, StandsInStorageAsDocumented) {
  const std::vector<std::byte> bytes = frame_of(payload_of(9));
  const auto u32 = [&](std::size_t at) {
    std::uint32_t value = 0;
    std::memcpy(&value, &bytes[at], sizeof value);
    return value;
  };
  EXPECT_EQ(std::memcmp(bytes.data(), "MFRF", 4), 0);
  EXPECT_EQ(bytes.size(), 56u);
  EXPECT_EQ(u32(8), 9u);    // length
  EXPECT_EQ(u32(12), 5u);   // type, and reserved
  EXPECT_EQ(u32(16), 7u);   // generation
  EXPECT_EQ(u32(24), 41u);  // number
  EXPECT_EQ(u32(32), 12u);  // seq
  EXPECT_EQ(bytes[40], std::byte{1});
  EXPECT_EQ(bytes[49], std::byte{0});
}

TEST(RecordFrame, ZerosAreTheEnd) {
  const std::vector<std::byte> zeros(256);
  EXPECT_EQ(read_frame(zeros, kKey).state, FrameState::kEnd);
}

TEST(RecordFrame, LessThanAHeaderIsTheEnd) {
  const std::vector<std::byte> bytes = frame_of(payload_of(9));
  for (std::size_t length = 0; length < kFrameHeader; ++length) {
    EXPECT_EQ(read_frame(std::span(bytes).first(length), kKey).state, FrameState::kEnd);
  }
}

TEST(RecordFrame, AFrameCutShortIsTorn) {
  const std::vector<std::byte> bytes = frame_of(payload_of(100));
  for (std::size_t length = kFrameHeader; length < bytes.size(); length += 8) {
    EXPECT_EQ(read_frame(std::span(bytes).first(length), kKey).state, FrameState::kTorn);
  }
}

TEST(RecordFrame, NoChangedBitPassesForWhole) {
  const std::vector<std::byte> bytes = frame_of(payload_of(21));
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::vector<std::byte> changed = bytes;
    changed[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_NE(read_frame(changed, kKey).state, FrameState::kWhole) << "bit " << bit;
  }
}

TEST(RecordFrame, AnOlderGenerationIsOld) {
  FrameKey older = kKey;
  older.generation = 6;
  EXPECT_EQ(read_frame(frame_of(payload_of(30), older), kKey).state, FrameState::kOld);
}

TEST(RecordFrame, AGenerationThatWasOverwrittenInPlaceIsTorn) {
  FrameKey older = kKey;
  older.generation = 6;
  std::vector<std::byte> bytes = frame_of(payload_of(30), older);
  bytes[16] = std::byte{7};  // its checksum was made with 6
  EXPECT_EQ(read_frame(bytes, kKey).state, FrameState::kTorn);
}

TEST(RecordFrame, AnotherJournalsFrameIsTorn) {
  FrameKey other = kKey;
  other.journal = wire::Id128(1, 2);
  EXPECT_EQ(read_frame(frame_of(payload_of(30), other), kKey).state, FrameState::kTorn);
}

TEST(RecordFrame, AnythingElseIsForeign) {
  std::vector<std::byte> bytes = frame_of(payload_of(30));
  std::memcpy(bytes.data(),
              "\x7F"
              "ELF",
              4);
  EXPECT_EQ(read_frame(bytes, kKey).state, FrameState::kForeign);
}

TEST(RecordFrame, ATypeOfANewerVersionIsForeign) {
  std::vector<std::byte> bytes(frame_size(8));
  const std::vector<std::byte> payload = payload_of(8);
  write_frame(bytes, kKey, {static_cast<RecordType>(8), 1, 0, payload});
  EXPECT_EQ(read_frame(bytes, kKey).state, FrameState::kForeign);
}

TEST(RecordFrame, OneFrameAfterTheOther) {
  std::vector<std::byte> bytes(1024);
  std::size_t end = 0;
  for (std::uint64_t number = 1; number <= 5; ++number) {
    end += write_frame(std::span(bytes).subspan(end), kKey,
                       {RecordType::kVerdict, number, 0, payload_of(number * 11)});
  }
  std::size_t at = 0;
  for (std::uint64_t number = 1; number <= 5; ++number) {
    const Frame frame = read_frame(std::span(bytes).subspan(at), kKey);
    ASSERT_EQ(frame.state, FrameState::kWhole);
    EXPECT_EQ(frame.record.number, number);
    at += frame.size;
  }
  EXPECT_EQ(at, end);
  EXPECT_EQ(read_frame(std::span(bytes).subspan(at), kKey).state, FrameState::kEnd);
}

}  // namespace
}  // namespace memfail::journal
