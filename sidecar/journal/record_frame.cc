// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/record_frame.h"

#include <array>
#include <cstring>

#include "shm/crc32c.h"

namespace memfail::journal {
namespace {

constexpr std::uint32_t kFrameMagic = 0x4652'464DU;  // "MFRF"
constexpr std::size_t kCoveredFrom = 8;              // behind magic and crc

struct Header {
  std::uint32_t magic = kFrameMagic;
  std::uint32_t crc = 0;
  std::uint32_t length = 0;
  std::uint16_t type = 0;
  std::uint16_t reserved = 0;
  std::uint64_t generation = 0;
  std::uint64_t number = 0;
  std::uint64_t seq = 0;
};
static_assert(sizeof(Header) == kFrameHeader);

std::uint32_t key_crc(const FrameKey& key) {
  const std::array<std::uint64_t, 3> words{key.journal.low(), key.journal.high(), key.generation};
  return shm::crc32c(0, std::as_bytes(std::span(words)));
}

// Of a frame whose header says `length`, which has been checked.
std::uint32_t frame_crc(const FrameKey& key, std::span<const std::byte> frame) {
  return shm::crc32c(key_crc(key), frame.subspan(kCoveredFrom));
}

bool known_type(std::uint16_t type) {
  return type > static_cast<std::uint16_t>(RecordType::kNone) &&
         type <= static_cast<std::uint16_t>(RecordType::kLoss);
}

}  // namespace

std::size_t write_frame(std::span<std::byte> out, const FrameKey& key, const Record& record) {
  const std::size_t size = frame_size(record.payload.size());
  const std::span<std::byte> frame = out.first(size);
  Header header;
  header.length = static_cast<std::uint32_t>(record.payload.size());
  header.type = static_cast<std::uint16_t>(record.type);
  header.generation = key.generation;
  header.number = record.number;
  header.seq = record.seq;
  std::memset(frame.last<kFrameAlignment>().data(), 0, kFrameAlignment);  // the fill, at most
  if (!record.payload.empty()) {
    std::memcpy(frame.data() + kFrameHeader, record.payload.data(), record.payload.size());
  }
  std::memcpy(frame.data(), &header, sizeof header);
  header.crc = frame_crc(key, frame);
  std::memcpy(frame.data(), &header, sizeof header);
  return size;
}

Frame read_frame(std::span<const std::byte> bytes, const FrameKey& key) {
  if (bytes.size() < kFrameHeader) return {};
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic == 0) return {};
  if (header.magic != kFrameMagic) return {FrameState::kForeign, {}, 0};
  if (header.generation != key.generation) return {FrameState::kOld, {}, 0};
  const std::size_t size = frame_size(header.length);
  if (size > bytes.size() || header.crc != frame_crc(key, bytes.first(size))) {
    return {FrameState::kTorn, {}, 0};
  }
  // Whole, yet not what this version writes: not to be guessed at.
  if (!known_type(header.type) || header.reserved != 0) return {FrameState::kForeign, {}, 0};
  const Record record{static_cast<RecordType>(header.type), header.number, header.seq,
                      bytes.subspan(kFrameHeader, header.length)};
  return {FrameState::kWhole, record, size};
}

}  // namespace memfail::journal
