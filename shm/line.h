// SPDX-License-Identifier: BSD-3-Clause
//
// Writing and reading one 64-byte line of shared memory.
//
// The word goes odd (2n-1), the payload and its CRC follow, the word goes even
// (2n). A reader copies the line once, then checks the copy; it never looks at
// shared memory again for it. All accesses are 8-byte atomics: the peer may write
// at any time, and a torn read must be a value, not undefined behaviour.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "schema/incident_layout.h"
#include "shm/crc32c.h"
#include "shm/step.h"

namespace memfail::shm {

// What a line's CRC covers besides its payload: a line of another session, lane
// or incident is never taken for this one.
struct LineKey {
  std::uint64_t session_low = 0;
  std::uint64_t session_high = 0;
  std::uint32_t lane = 0;
};

enum class LineState : std::uint8_t {
  kOther,    // the word is not 2n: not yet, or not any more, incident n
  kCommitted,
  kCorrupt,  // it said 2n, but changed under the copy or failed its CRC
};

inline constexpr std::uint64_t writing_word(std::uint64_t n) { return 2 * n - 1; }
inline constexpr std::uint64_t committed_word(std::uint64_t n) { return 2 * n; }

// Bytes of a line that belong to its sequence-checked part; the last 8 of an
// outcome (`claim`) and a reply (`retired`) are atomics of their own.
template <typename Line>
inline constexpr std::size_t kCheckedEnd = wire::kLineSize;
template <>
inline constexpr std::size_t kCheckedEnd<wire::OutcomeLine> = wire::kOutcomeClaimOffset;
template <>
inline constexpr std::size_t kCheckedEnd<wire::ReplyLine> = wire::kReplyRetiredOffset;

// An 8-byte word at `offset` of a line. Loads work on read-only mappings.
inline std::uint64_t load_word(const std::byte* line, std::size_t offset,
                               std::memory_order order = std::memory_order_acquire) {
  auto* word = reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(line) + offset);
  return std::atomic_ref<std::uint64_t>(*word).load(order);
}
inline void store_word(std::byte* line, std::size_t offset, std::uint64_t value,
                       std::memory_order order = std::memory_order_release) {
  std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(line + offset))
      .store(value, order);
}

using LineImage = std::array<std::uint64_t, wire::kLineSize / 8>;

inline std::uint32_t line_crc(const LineImage& image, std::size_t end, const LineKey& key,
                              std::uint64_t n) {
  const std::array<std::uint64_t, 4> head{key.session_low, key.session_high, key.lane, n};
  const auto bytes = std::as_bytes(std::span(image));
  const std::uint32_t crc = crc32c(0, std::as_bytes(std::span(head)));
  return crc32c(crc, bytes.subspan(wire::kPayloadOffset, end - wire::kPayloadOffset));
}

// The step between the odd word and the even one, by whose line it is.
template <typename Line>
void step_line_begun() {
  if constexpr (std::is_same_v<Line, wire::ReportLine>) MEMFAIL_STEP(report_begun);
  if constexpr (std::is_same_v<Line, wire::SnapshotLine>) MEMFAIL_STEP(snapshot_begun);
  if constexpr (std::is_same_v<Line, wire::ReplyLine>) MEMFAIL_STEP(reply_begun);
  if constexpr (std::is_same_v<Line, wire::OutcomeLine>) MEMFAIL_STEP(outcome_begun);
}

// Commits incident n's `line` at `at`. Async-signal-safe. The steps between are
// open to any death: a reader sees 2n or it sees nothing.
template <typename Line>
void write_line(std::byte* at, const Line& line, const LineKey& key, std::uint64_t n) {
  LineImage image{};
  std::memcpy(image.data(), &line, sizeof line);
  const std::uint32_t crc = line_crc(image, kCheckedEnd<Line>, key, n);
  std::memcpy(reinterpret_cast<std::byte*>(image.data()) + wire::kCrcOffset, &crc, sizeof crc);
  store_word(at, wire::kWordOffset, writing_word(n), std::memory_order_relaxed);
  // Release: none of these may become visible before the odd word.
  for (std::size_t i = 1; i < kCheckedEnd<Line> / 8; ++i) store_word(at, i * 8, image[i]);
  step_line_begun<Line>();
  store_word(at, wire::kWordOffset, committed_word(n));
}

// Copies incident n's line out once and checks the copy.
template <typename Line>
LineState read_line(const std::byte* at, const LineKey& key, std::uint64_t n, Line& out) {
  LineImage image{};
  image[0] = load_word(at, wire::kWordOffset);
  if (image[0] != committed_word(n)) return LineState::kOther;
  for (std::size_t i = 1; i < kCheckedEnd<Line> / 8; ++i) image[i] = load_word(at, i * 8);
  if (load_word(at, wire::kWordOffset) != committed_word(n)) return LineState::kCorrupt;
  std::uint32_t crc = 0;
  std::memcpy(&crc, reinterpret_cast<const std::byte*>(image.data()) + wire::kCrcOffset,
              sizeof crc);
  if (crc != line_crc(image, kCheckedEnd<Line>, key, n)) return LineState::kCorrupt;
  std::memcpy(static_cast<void*>(&out), image.data(), sizeof out);
  return LineState::kCommitted;
}

}  // namespace memfail::shm
