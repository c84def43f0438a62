// SPDX-License-Identifier: BSD-3-Clause
#include "shm/crc32c.h"

#include <cpuid.h>

#include <array>
#include <atomic>
#include <cstring>

namespace memfail::shm {
namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;  // 0x1EDC6F41, bits reversed

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
    table[i] = value;
  }
  return table;
}

constexpr std::array<std::uint32_t, 256> kTable = make_table();

constinit std::atomic<bool> has_instruction{false};

__attribute__((target("sse4.2"))) std::uint32_t with_instruction(std::uint32_t crc,
                                                                 std::span<const std::byte> bytes) {
  std::uint64_t value = ~crc;
  while (bytes.size() >= sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    value = __builtin_ia32_crc32di(value, word);
    bytes = bytes.subspan(sizeof word);
  }
  auto tail = static_cast<std::uint32_t>(value);
  for (const std::byte byte : bytes) {
    tail = __builtin_ia32_crc32qi(tail, static_cast<std::uint8_t>(byte));
  }
  return ~tail;
}

}  // namespace

std::uint32_t crc32c_table(std::uint32_t crc, std::span<const std::byte> bytes) {
  std::uint32_t value = ~crc;
  for (const std::byte byte : bytes) {
    value = (value >> 8) ^ kTable[(value ^ static_cast<std::uint32_t>(byte)) & 0xFF];
  }
  return ~value;
}

std::uint32_t crc32c(std::uint32_t crc, std::span<const std::byte> bytes) {
  if (has_instruction.load(std::memory_order_relaxed)) return with_instruction(crc, bytes);
  return crc32c_table(crc, bytes);
}

void crc32c_prepare() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_SSE4_2) != 0) {
    has_instruction.store(true, std::memory_order_relaxed);
  }
}

}  // namespace memfail::shm
