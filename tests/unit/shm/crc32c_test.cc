// SPDX-License-Identifier: BSD-3-Clause
#include "shm/crc32c.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string_view>
#include <vector>

namespace memfail::shm {
namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

struct Known {
  std::vector<std::byte> bytes;
  std::uint32_t crc;
};

// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
std::vector<Known> known_vectors() {
  std::vector<std::byte> up(32);
  std::vector<std::byte> down(32);
  for (unsigned i = 0; i < 32; ++i) up[i] = static_cast<std::byte>(i);
  for (unsigned i = 0; i < 32; ++i) down[i] = static_cast<std::byte>(31 - i);
  std::vector<std::byte> read_pdu(48);
  read_pdu[0] = std::byte{0x01};
  read_pdu[1] = std::byte{0xC0};
  read_pdu[16] = std::byte{0x14};
  read_pdu[22] = std::byte{0x04};
  read_pdu[27] = std::byte{0x14};
  read_pdu[31] = std::byte{0x18};
  read_pdu[32] = std::byte{0x28};
  read_pdu[40] = std::byte{0x02};
  return {{bytes_of("123456789"), 0xE3069283},
          {std::vector<std::byte>(32, std::byte{0}), 0x8A9136AA},
          {std::vector<std::byte>(32, std::byte{0xFF}), 0x62A8AB43},
          {up, 0x46DD794E},
          {down, 0x113FDB5C},
          {read_pdu, 0xD9963A56},
          {{}, 0}};
}

TEST(Crc32c, TheTableGivesThePublishedValues) {
  for (const Known& known : known_vectors()) EXPECT_EQ(crc32c_table(0, known.bytes), known.crc);
}

TEST(Crc32c, BeforeAndAfterItWasPreparedItGivesThePublishedValues) {
  for (const Known& known : known_vectors()) EXPECT_EQ(crc32c(0, known.bytes), known.crc);
  crc32c_prepare();
  for (const Known& known : known_vectors()) EXPECT_EQ(crc32c(0, known.bytes), known.crc);
}

TEST(Crc32c, TheInstructionAgreesWithTheTableForEveryLengthStartAndBeginning) {
  crc32c_prepare();
  std::mt19937_64 random(20260101);
  std::vector<std::byte> buffer(600);
  for (int round = 0; round < 20'000; ++round) {
    for (int i = 0; i < 8; ++i) buffer[random() % buffer.size()] = static_cast<std::byte>(random());
    const std::size_t start = random() % 64;
    const std::size_t length = random() % (buffer.size() - start);
    const auto begin = static_cast<std::uint32_t>(random());
    const auto part = std::span(buffer).subspan(start, length);
    ASSERT_EQ(crc32c(begin, part), crc32c_table(begin, part)) << start << " " << length;
  }
}

TEST(Crc32c, GoingOnFromAPartGivesTheValueOfTheWhole) {
  crc32c_prepare();
  const auto bytes = bytes_of("a broken page of a virtual machine's memory");
  const std::uint32_t whole = crc32c(0, bytes);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const std::uint32_t first = crc32c(0, std::span(bytes).first(cut));
    EXPECT_EQ(crc32c(first, std::span(bytes).subspan(cut)), whole) << cut;
  }
}

}  // namespace
}  // namespace memfail::shm
