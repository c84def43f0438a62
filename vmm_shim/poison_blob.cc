// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/poison_blob.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include "shm/crc32c.h"
#include "sidecar/decision/region_map.h"

namespace memfail::shim {
namespace {

using shm::Error;

constexpr std::uint32_t kMagic = 0x4C50464D;  // "MFPL"
constexpr std::uint16_t kVersion = 1;
constexpr std::uint32_t kKnownFlags = kPoisonTold | kPoisonDrill;

// Offsets of the header's fields and of an entry's.
constexpr std::size_t kVersionAt = 4;
constexpr std::size_t kEntrySizeAt = 6;
constexpr std::size_t kCountAt = 8;
constexpr std::size_t kCrcAt = 12;
constexpr std::size_t kSizeAt = 8;
constexpr std::size_t kFlagsAt = 16;
constexpr std::size_t kZeroAt = 20;

template <typename T>
T load(std::span<const std::byte> bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) value = value << 8 | std::to_integer<T>(bytes[at + i]);
  return static_cast<T>(value);
}

template <typename T>
void store(std::span<std::byte> bytes, std::size_t at, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    bytes[at + i] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i));
  }
}

std::uint32_t checksum(std::span<const std::byte> blob) {
  return shm::crc32c(shm::crc32c(0, blob.first(kCrcAt)), blob.subspan(kPoisonBlobHeader));
}

Error error(const char* field, const char* what, std::uint64_t value, std::uint64_t limit) {
  return {field, what, value, limit, EINVAL};
}

// `floor`: where the page before it ends.
std::optional<Error> check_page(const PoisonRecord& page, std::uint64_t floor) {
  constexpr std::uint64_t kUnit = decision::kPageSize;
  if (page.gpa % kUnit != 0) {
    return error("poison list gpa", "is not a multiple of the limit", page.gpa, kUnit);
  }
  if (page.size == 0 || page.size % kUnit != 0) {
    return error("poison list page size", "is not a multiple of the limit", page.size, kUnit);
  }
  if (page.size > decision::kMaxPageSize) {
    return error("poison list page size", "is above the limit", page.size, decision::kMaxPageSize);
  }
  if (page.gpa > ~page.size) {
    return error("poison list gpa", "wraps around with its size", page.gpa, ~page.size);
  }
  if (page.gpa < floor) {
    return error("poison list gpa", "lies below the end of the page before it", page.gpa, floor);
  }
  if ((page.flags & ~kKnownFlags) != 0) {
    return error("poison list flags", "has bits that nobody knows", page.flags, kKnownFlags);
  }
  return std::nullopt;
}

std::optional<Error> check_header(std::span<const std::byte> blob) {
  if (blob.size() < kPoisonBlobHeader) {
    return error("poison list bytes", "is less than the header", blob.size(), kPoisonBlobHeader);
  }
  if (const auto magic = load<std::uint32_t>(blob, 0); magic != kMagic) {
    return error("poison list magic", "is another", magic, kMagic);
  }
  const auto version = load<std::uint16_t>(blob, kVersionAt);
  if (version != kVersion) {
    const char* what = version > kVersion ? "is newer than this program" : "was never in use";
    return error("poison list version", what, version, kVersion);
  }
  if (const auto size = load<std::uint16_t>(blob, kEntrySizeAt); size != kPoisonBlobEntry) {
    return error("poison list entry size", "is another", size, kPoisonBlobEntry);
  }
  return std::nullopt;
}

// The count against what is there and what there is room for, and the checksum.
std::optional<Error> check_body(std::span<const std::byte> blob, std::size_t room) {
  const auto count = load<std::uint32_t>(blob, kCountAt);
  const std::size_t entries = (blob.size() - kPoisonBlobHeader) / kPoisonBlobEntry;
  if (poison_blob_size(count) > blob.size()) {
    return error("poison list count", "is more than the bytes hold", count, entries);
  }
  if (poison_blob_size(count) < blob.size()) {
    return error("poison list bytes", "is more than its count says", blob.size(),
                 poison_blob_size(count));
  }
  if (count > room) return error("poison list count", "is above the limit", count, room);
  const auto said = load<std::uint32_t>(blob, kCrcAt);
  const std::uint32_t made = checksum(blob);
  if (said != made) return error("poison list CRC", "does not fit the bytes", said, made);
  return std::nullopt;
}

PoisonRecord load_page(std::span<const std::byte> blob, std::size_t index) {
  const auto entry = blob.subspan(poison_blob_size(index), kPoisonBlobEntry);
  return {load<std::uint64_t>(entry, 0), load<std::uint64_t>(entry, kSizeAt),
          load<std::uint32_t>(entry, kFlagsAt)};
}

void store_page(std::span<std::byte> blob, std::size_t index, const PoisonRecord& page) {
  const auto entry = blob.subspan(poison_blob_size(index), kPoisonBlobEntry);
  store(entry, 0, page.gpa);
  store(entry, kSizeAt, page.size);
  store(entry, kFlagsAt, page.flags);
  store(entry, kZeroAt, std::uint32_t{0});
}

std::optional<Error> check_entries(std::span<const std::byte> blob, std::uint32_t count) {
  std::uint64_t floor = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const PoisonRecord page = load_page(blob, i);
    if (auto wrong = check_page(page, floor)) return wrong;
    const auto zero = load<std::uint32_t>(blob, poison_blob_size(i) + kZeroAt);
    if (zero != 0) return error("poison list entry's last word", "is not the limit", zero, 0);
    floor = page.gpa + page.size;
  }
  return std::nullopt;
}

std::optional<Error> check_pages(std::span<const PoisonRecord> pages) {
  std::uint64_t floor = 0;
  for (const PoisonRecord& page : pages) {
    if (auto wrong = check_page(page, floor)) return wrong;
    floor = page.gpa + page.size;
  }
  return std::nullopt;
}

}  // namespace

std::expected<std::size_t, Error> write_poison_blob(std::span<PoisonRecord> pages,
                                                    std::span<std::byte> blob) {
  const std::size_t size = poison_blob_size(pages.size());
  if (pages.size() > UINT32_MAX) {
    return std::unexpected(
        error("poison list count", "is above the limit", pages.size(), UINT32_MAX));
  }
  if (blob.size() < size) {
    return std::unexpected(
        error("poison list bytes", "is above the room for it", size, blob.size()));
  }
  std::ranges::sort(pages, {}, &PoisonRecord::gpa);
  if (const auto wrong = check_pages(pages)) return std::unexpected(*wrong);
  blob = blob.first(size);
  store(blob, 0, kMagic);
  store(blob, kVersionAt, kVersion);
  store(blob, kEntrySizeAt, static_cast<std::uint16_t>(kPoisonBlobEntry));
  store(blob, kCountAt, static_cast<std::uint32_t>(pages.size()));
  for (std::size_t i = 0; i < pages.size(); ++i) store_page(blob, i, pages[i]);
  store(blob, kCrcAt, checksum(blob));
  return size;
}

std::expected<std::uint32_t, Error> read_poison_blob(std::span<const std::byte> blob,
                                                     std::span<PoisonRecord> pages) {
  if (const auto wrong = check_header(blob)) return std::unexpected(*wrong);
  if (const auto wrong = check_body(blob, pages.size())) return std::unexpected(*wrong);
  const auto count = load<std::uint32_t>(blob, kCountAt);
  // All is checked before the first is handed out.
  if (const auto wrong = check_entries(blob, count)) return std::unexpected(*wrong);
  for (std::uint32_t i = 0; i < count; ++i) pages[i] = load_page(blob, i);
  return count;
}

}  // namespace memfail::shim
