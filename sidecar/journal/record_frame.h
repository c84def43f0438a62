// SPDX-License-Identifier: BSD-3-Clause
//
// How a record stands in the front and in a journal file: a header, the payload,
// zeros up to a multiple of 8 bytes.
//
//   offset 0   magic       "MFRF"
//          4   crc         CRC32C of all that follows, begun with the key
//          8   length      of the payload, in bytes
//         12   type        RecordType
//         14   reserved    0
//         16   generation  which use of this piece of storage it belongs to
//         24   number      of the record in its journal, from 1, without holes;
//                          0: it belongs to the storage (checkpoint, pad), and no
//                          other copy of it counts
//         32   seq         an event's; else 0
//
// The key (journal id and generation) goes into the checksum: a record of another
// journal, or of an earlier use of the same storage, never passes for one of ours.
// Little-endian, as everything of this project. Nothing here allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "schema/incident_layout.h"

namespace memfail::journal {

enum class RecordType : std::uint16_t {
  kNone = 0,
  kPad = 1,         // nothing, up to the end of the ring
  kCheckpoint = 2,  // wire::Checkpoint
  kSession = 3,     // wire::SessionRecord
  kVerdict = 4,     // wire::VerdictRecord
  kEvent = 5,       // wire::EventRecord
  kFolded = 6,      // wire::FoldedRecord
  kLoss = 7,        // wire::LossRecord
};

struct Record {
  RecordType type = RecordType::kNone;
  std::uint64_t number = 0;
  std::uint64_t seq = 0;
  std::span<const std::byte> payload;
};

struct FrameKey {
  wire::Id128 journal;
  std::uint64_t generation = 0;
};

inline constexpr std::size_t kFrameHeader = 40;
inline constexpr std::size_t kFrameAlignment = 8;

constexpr std::size_t frame_size(std::size_t payload) {
  return (kFrameHeader + payload + kFrameAlignment - 1) / kFrameAlignment * kFrameAlignment;
}

// Writes the frame at the beginning of `out`, which must have room for
// frame_size(payload); gives that size. `out` may be shared memory.
std::size_t write_frame(std::span<std::byte> out, const FrameKey& key, const Record& record);

enum class FrameState : std::uint8_t {
  kWhole,
  kEnd,      // no frame begins here: zeros, or less room than a header needs
  kOld,      // a frame of another generation: what stands here was written earlier
  kTorn,     // begins as ours, and is not whole
  kForeign,  // neither zeros nor a frame
};

struct Frame {
  FrameState state = FrameState::kEnd;
  Record record;         // whole: its payload lies in the bytes read
  std::size_t size = 0;  // whole: the next frame begins so far on
};

// What stands at the beginning of `bytes` (aligned to 8).
Frame read_frame(std::span<const std::byte> bytes, const FrameKey& key);

}  // namespace memfail::journal
