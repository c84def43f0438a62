// SPDX-License-Identifier: BSD-3-Clause
//
// The first 64 bytes of a journal file: whose it is, and which use of it this
// is. They lie within one sector, so a power cut leaves the old or the new ones.
//
// Every format version, this one and those to come, keeps magic, version and
// CRC where they are: a newer journal is then known for what it is, and no
// memfaild takes it for damage.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "schema/incident_layout.h"

namespace memfail::journal {

inline constexpr std::size_t kFileHeaderSize = 64;
inline constexpr std::uint32_t kFormatVersion = 1;

struct FileHeader {
  wire::Id128 journal;
  // Counts the uses of files in this journal, from 1: the file with the highest
  // is the one that was written last.
  std::uint64_t generation = 0;
  std::uint64_t file_size = 0;
};

struct BadHeader {
  enum class Kind {
    kUnused,   // zeros: never begun
    kForeign,  // something else, or damaged: the CRC does not fit
    kNewer,    // a later format
  };
  Kind kind = Kind::kUnused;
  std::uint32_t version = 0;
};

std::array<std::byte, kFileHeaderSize> encode(const FileHeader& header);
std::expected<FileHeader, BadHeader> decode_header(
    std::span<const std::byte, kFileHeaderSize> bytes);

}  // namespace memfail::journal
