// SPDX-License-Identifier: BSD-3-Clause
//
// The front: the ring that every record goes to first, in a preallocated file on a
// tmpfs. It survives this process, killed at any instruction, but not the host.
//
// Theory of operation. One thread appends, one takes away. Positions count bytes
// since the front was made and never go back; head - tail is what it holds.
//
//   append:  the whole frame behind head, then head (release)
//   take:    frames from tail on, once they are safe elsewhere: tail (release)
//
// So between tail and head there are whole frames, whenever the process dies: a
// frame that was not finished lies behind head, where nobody looks. A frame never
// wraps: what is too short for it at the ring's end is left, under a pad frame where
// that has room. The lap is the frames' generation, so that nothing of an earlier lap
// passes for one of this.
//
// append() allocates nothing, makes no system call and never waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "schema/incident_layout.h"
#include "shm/mapping.h"
#include "shm/unique_fd.h"
#include "sidecar/journal/record_frame.h"

namespace memfail::journal {

inline constexpr std::uint64_t kFrontMagic = 0x544E'4F52'464D'454DULL;  // "MEMFRONT"
inline constexpr std::uint32_t kFrontVersion = 1;
inline constexpr std::size_t kFrontHeaderSize = 4096;
inline constexpr std::size_t kFrontHeadOffset = 64;  // each word in a cache line of its own
inline constexpr std::size_t kFrontTailOffset = 128;

// First line of the file; never changed once it is there.
struct FrontHeader {
  std::uint64_t magic = 0;
  std::uint32_t version = 0;
  std::uint32_t crc = 0;  // CRC32C of what follows
  std::uint64_t capacity = 0;
  std::uint64_t journal_low = 0, journal_high = 0;
  std::uint64_t boot_low = 0, boot_high = 0;
};
static_assert(sizeof(FrontHeader) <= kFrontHeadOffset);

enum class FrontRead : std::uint8_t {
  kRecord,
  kEmpty,    // the position is head
  kDamaged,  // not a whole frame, though head is behind it
};

struct FrontItem {
  FrontRead state = FrontRead::kEmpty;
  Record record;           // its payload lies in the front
  std::uint64_t next = 0;  // position behind it
};

class Front {
 public:
  Front() = default;
  // Over a file that open_front() has checked: header and ring, `journal` as there.
  Front(shm::UniqueFd fd, shm::Mapping mapping, wire::Id128 journal);

  [[nodiscard]] bool valid() const { return mapping_.valid(); }
  [[nodiscard]] const wire::Id128& journal() const { return journal_; }
  [[nodiscard]] std::size_t capacity() const { return mapping_.size() - kFrontHeaderSize; }
  [[nodiscard]] std::uint64_t head() const;
  [[nodiscard]] std::uint64_t tail() const;
  // All of it, header and ring.
  [[nodiscard]] std::span<std::byte> memory() const { return {mapping_.data(), mapping_.size()}; }
  [[nodiscard]] std::size_t used() const { return static_cast<std::size_t>(head() - tail()); }

  // ---- the thread that appends ----
  // False: no room for it now; nothing has changed.
  bool append(const Record& record);

  // ---- the thread that takes away ----
  // The record at `position`, which is tail() or the `next` of one read before.
  [[nodiscard]] FrontItem read(std::uint64_t position) const;
  // What stands before `position` may be overwritten.
  void release(std::uint64_t position);

  // Before the end of a process that a second thread holds up.
  void unlock();

  // Recovery, before there is a second thread: gives up what stands from `position` on.
  void cut(std::uint64_t position);

 private:
  [[nodiscard]] std::span<std::byte> ring() const {
    return {mapping_.data() + kFrontHeaderSize, capacity()};
  }
  [[nodiscard]] std::uint64_t* word(std::size_t offset) const {
    return reinterpret_cast<std::uint64_t*>(mapping_.data() + offset);
  }
  [[nodiscard]] FrameKey key_at(std::uint64_t position) const {
    return {journal_, position / capacity() + 1};
  }

  shm::UniqueFd fd_;  // holds the lock
  shm::Mapping mapping_;
  wire::Id128 journal_;
};

}  // namespace memfail::journal
