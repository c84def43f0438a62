// SPDX-License-Identifier: BSD-3-Clause
//
// The front's file: made, or found and checked, at the start of the process. What is
// not surely ours is refused by name, never guessed at and never overwritten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "sidecar/journal/front.h"

namespace memfail::journal {

struct FrontRequest {
  std::string path;
  std::size_t capacity = kDefaultCapacity;  // in bytes, a multiple of 4096
  wire::Id128 boot;                         // of the host, now
  // Whose records it is to hold. None: the front alone keeps the journal, whose id is
  // the one it has, or `new_journal` where it has none.
  std::optional<wire::Id128> journal;
  wire::Id128 new_journal;

  static constexpr std::size_t kDefaultCapacity = 4 << 20;
  static constexpr std::size_t kMinCapacity = 64 << 10;
};

enum class FrontProblem : std::uint8_t {
  kRefused,       // by the host: not to be opened, no room, not on a tmpfs
  kNotOurs,       // owner, mode, kind of file, or content
  kLocked,        // another memfaild has it
  kNewer,         // of a newer version
  kOtherBoot,     // of another boot: a copy
  kOtherJournal,
  kDamaged,       // its words contradict each other
};

struct FrontRefusal {
  FrontProblem problem = FrontProblem::kRefused;
  std::string text;  // one line: the thing, its value, what to do
};

struct OpenFront {
  Front front;
  bool fresh = false;          // made now: it holds nothing
  std::uint64_t damaged = 0;   // bytes behind the last whole record, given up
};

// A front that holds no record is made anew where it is of another size, journal or boot
// than asked; one that holds records keeps its size, and is refused where it is another's.
std::expected<OpenFront, FrontRefusal> open_front(const FrontRequest& request);

}  // namespace memfail::journal
