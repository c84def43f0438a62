// SPDX-License-Identifier: BSD-3-Clause
//
// How large a checkpoint may become, and who may make it larger.
//
// A checkpoint must fit the file, or the front, that begins with it: with a larger one
// nothing could be recorded any more. So a state that is as large as that takes nothing
// more in, and what it does not take in is decided by the records alone: whoever applies
// the same ones, the store, the journal's thread or the next start, leaves out the same.
//
// Promises give way first: a verdict is given without one, too. Then new sessions. What
// says that an incident has its event comes last: without it a death of memfaild between
// event and retirement tells that one twice. Events themselves are not of the state, and
// are never left out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "schema/journal_generated.h"

namespace memfail::journal {

class CheckpointRoom {
 public:
  // Up to so many eighths of the limit.
  enum class For : std::uint8_t { kVerdict = 6, kSession = 7, kMark = 8 };

  // What each costs in a checkpoint, at most. A session: without its texts.
  static constexpr std::size_t kVerdictSize = sizeof(wire::VerdictRecord);
  static constexpr std::size_t kMarkSize = sizeof(wire::LaneMark);
  static constexpr std::size_t kSessionSize = 320;
  static constexpr std::size_t kOwnSize = 256;  // of the checkpoint, and what frames it

  // Half a file: the other half is for records.
  static constexpr std::size_t of_file(std::uint64_t file_size) { return file_size / 2; }
  // A front that is alone holds two, one at each side of a gap of its size, and records.
  static constexpr std::size_t of_front(std::size_t capacity) { return capacity / 4; }

  // None: without a limit.
  CheckpointRoom() = default;
  void limit_to(std::size_t bytes) { limit_ = bytes; }

  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::size_t limit() const { return limit_; }
  [[nodiscard]] bool has(For what, std::size_t bytes) const {
    return used_ + bytes <= limit_ / 8 * static_cast<std::size_t>(what);
  }
  void take(std::size_t bytes) { used_ += bytes; }
  void give_back(std::size_t bytes) { used_ -= bytes; }

 private:
  std::size_t limit_ = std::numeric_limits<std::size_t>::max();
  std::size_t used_ = kOwnSize;
};

}  // namespace memfail::journal
