// SPDX-License-Identifier: BSD-3-Clause
//
// The list of a VM's broken pages as bytes: it goes with the VM when it migrates, in
// the VMM's own stream. Pure: no I/O, no allocation.
//
// Little-endian, without padding:
//   0  u32 magic "MFPL"     4  u16 version       6  u16 bytes of an entry
//   8  u32 entries         12  u32 CRC32C of all bytes before and behind it
//  16  entries, by ascending gpa: u64 gpa, u64 size, u32 flags, u32 zero
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "shm/error.h"

namespace memfail::shim {

inline constexpr std::uint32_t kPoisonTold = 1;   // the guest knows of it
inline constexpr std::uint32_t kPoisonDrill = 2;  // an operator's drill, the memory is fine

struct PoisonRecord {
  std::uint64_t gpa = 0;   // bytes, a multiple of 4096
  std::uint64_t size = 0;  // bytes, a multiple of 4096, from 4096 to 1 GiB
  std::uint32_t flags = 0;
  bool operator==(const PoisonRecord&) const = default;
};

inline constexpr std::size_t kPoisonBlobHeader = 16;
inline constexpr std::size_t kPoisonBlobEntry = 24;

constexpr std::size_t poison_blob_size(std::size_t pages) {
  return kPoisonBlobHeader + pages * kPoisonBlobEntry;
}

// Writes `pages`, which it puts in order, to the front of `blob`; returns the bytes
// written. What read_poison_blob() would refuse is refused here, and `blob` left alone.
std::expected<std::size_t, shm::Error> write_poison_blob(std::span<PoisonRecord> pages,
                                                         std::span<std::byte> blob);

// Reads all of `blob` into the front of `pages`; returns how many. The bytes come from
// another host: anything odd refuses the whole list, names the field, its value and the
// limit, and leaves `pages` alone. `blob` must not change meanwhile.
std::expected<std::uint32_t, shm::Error> read_poison_blob(std::span<const std::byte> blob,
                                                          std::span<PoisonRecord> pages);

}  // namespace memfail::shim
