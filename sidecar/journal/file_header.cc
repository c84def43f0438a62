// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/file_header.h"

#include <algorithm>
#include <cstring>

#include "shm/crc32c.h"

namespace memfail::journal {
namespace {

constexpr std::uint64_t kMagic = 0x304C4E4A464D454D;  // "MEMFJNL0"

// Little-endian, as everything of ours.
struct Layout {
  std::uint64_t magic = kMagic;
  std::uint32_t version = kFormatVersion;
  std::uint32_t reserved0 = 0;
  std::uint64_t journal_low = 0;
  std::uint64_t journal_high = 0;
  std::uint64_t generation = 0;
  std::uint64_t file_size = 0;
  std::uint64_t reserved1 = 0;
  std::uint32_t reserved2 = 0;
  std::uint32_t crc = 0;
};
static_assert(sizeof(Layout) == kFileHeaderSize);
static_assert(offsetof(Layout, version) == 8 && offsetof(Layout, crc) == 60);

std::uint32_t crc_of(std::span<const std::byte, kFileHeaderSize> bytes) {
  return shm::crc32c(0, bytes.first(offsetof(Layout, crc)));
}

}  // namespace

std::array<std::byte, kFileHeaderSize> encode(const FileHeader& header) {
  Layout layout;
  layout.journal_low = header.journal.low();
  layout.journal_high = header.journal.high();
  layout.generation = header.generation;
  layout.file_size = header.file_size;
  std::array<std::byte, kFileHeaderSize> bytes{};
  std::memcpy(bytes.data(), &layout, sizeof layout);
  layout.crc = crc_of(bytes);
  std::memcpy(bytes.data(), &layout, sizeof layout);
  return bytes;
}

std::expected<FileHeader, BadHeader> decode_header(
    std::span<const std::byte, kFileHeaderSize> bytes) {
  const auto zero = [](std::byte one) { return one == std::byte{0}; };
  if (std::ranges::all_of(bytes, zero)) return std::unexpected(BadHeader{});
  Layout layout;
  std::memcpy(&layout, bytes.data(), sizeof layout);
  if (layout.magic != kMagic || layout.crc != crc_of(bytes)) {
    return std::unexpected(BadHeader{BadHeader::Kind::kForeign, 0});
  }
  if (layout.version != kFormatVersion) {
    return std::unexpected(BadHeader{BadHeader::Kind::kNewer, layout.version});
  }
  return FileHeader{wire::Id128(layout.journal_low, layout.journal_high), layout.generation,
                    layout.file_size};
}

}  // namespace memfail::journal
