// SPDX-License-Identifier: BSD-3-Clause
//
// Which events stand in which of the journal's files. A file holds those from its
// checkpoint on, up to the one that the next file's checkpoint begins with; what
// stands behind that in it was written again there.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace memfail::journal {

struct FileUse {
  std::uint64_t generation = 0;  // 0: nothing in it may be read
  std::uint64_t first_seq = 0;   // the next event when its checkpoint was written
};

struct SeqRange {
  std::uint64_t from = 0;
  std::uint64_t to = 0;  // the one behind the last
  [[nodiscard]] bool empty() const { return from >= to; }
};

class FileUses {
 public:
  FileUses() = default;
  explicit FileUses(std::uint32_t files) : uses_(files) {}

  [[nodiscard]] const FileUse& at(std::uint32_t file) const { return uses_[file]; }
  void set(std::uint32_t file, const FileUse& use) { uses_[file] = use; }
  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(uses_.size()); }

  // The file that was begun last.
  [[nodiscard]] std::optional<std::uint32_t> newest() const;
  // The events of `file`, if those before `end` have been written.
  [[nodiscard]] SeqRange events_of(std::uint32_t file, std::uint64_t end) const;
  // The file to look for event `seq` in; where it is in none, the one with the next.
  [[nodiscard]] std::optional<std::uint32_t> holder_of(std::uint64_t seq, std::uint64_t end) const;
  // The oldest event that can be read; `end` if none can.
  [[nodiscard]] std::uint64_t first_seq(std::uint64_t end) const;

  // Events before this are gone, whatever still stands in a file: the files behind
  // it have been used again.
  void forget_before(std::uint64_t seq) { floor_ = seq; }

  // The files but `keep`, in the order in which to use them again: first those
  // without events, then the oldest.
  [[nodiscard]] std::vector<std::uint32_t> candidates(std::optional<std::uint32_t> keep,
                                                      std::uint64_t end) const;

 private:
  std::vector<FileUse> uses_;
  std::uint64_t floor_ = 0;
};

}  // namespace memfail::journal
