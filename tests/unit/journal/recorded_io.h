// SPDX-License-Identifier: BSD-3-Clause
//
// Files in memory that remember every write and sync, can fail, and can lose
// their power at any point.
//
// A disk may do with what was written and not synced whatever it likes, sector
// by sector: keep it, lose it, keep a later write and lose an earlier one. After
// a failed sync Linux marks the pages clean, so a later good sync says nothing
// about them.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <random>
#include <vector>

#include "sidecar/journal/journal_io.h"

namespace memfail::journal {

inline constexpr std::size_t kSector = 512;

struct IoStep {
  enum class Kind { kWrite, kSync, kFailedSync, kAcknowledged };
  Kind kind = Kind::kWrite;
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
  std::vector<std::byte> bytes;      // of a write: what reached the page cache
  std::uint64_t acknowledged = 0;    // records that the journal said are durable
  std::uint64_t first_seq = 0;       // and the oldest event that it said can be read
};

using FileImages = std::vector<std::vector<std::byte>>;

class RecordedIo final : public JournalIo {
 public:
  RecordedIo(std::uint32_t files, std::uint64_t file_size)
      : images_(files, std::vector<std::byte>(file_size)) {}
  explicit RecordedIo(FileImages images) : images_(std::move(images)) {}

  std::expected<void, int> write(std::uint32_t file, std::uint64_t offset,
                                 std::span<const std::byte> bytes) override;
  std::expected<void, int> read(std::uint32_t file, std::uint64_t offset,
                                std::span<std::byte> bytes) override;
  std::expected<void, int> sync(std::uint32_t file) override;

  // Notes in the log what the journal said.
  void acknowledge(std::uint64_t records, std::uint64_t first_seq);

  // Asked before each call with its kind; an errno makes it fail.
  using Fault = std::function<std::optional<int>(const IoStep& step)>;
  Fault fault;

  [[nodiscard]] const std::vector<IoStep>& steps() const { return steps_; }
  // What a process sees that starts again on a machine that stayed up.
  [[nodiscard]] FileImages& images() { return images_; }

 private:
  FileImages images_;
  std::vector<IoStep> steps_;
};

// The disk under such files, step by step.
class PowerCut {
 public:
  explicit PowerCut(FileImages before) : durable_(before), cached_(std::move(before)) {}

  void apply(const IoStep& step);

  // What the disk may hold if the power goes now. `keep` is asked for each
  // sector that was written and not surely synced, in the order of writing.
  using Keep = std::function<bool()>;
  [[nodiscard]] FileImages cut(const Keep& keep) const;

 private:
  struct Pending {
    std::uint32_t file = 0;
    std::size_t sector = 0;
    std::vector<std::byte> bytes;
    bool doubtful = false;  // a sync of it has failed
  };

  void write(const IoStep& step);
  void sync(std::uint32_t file);

  FileImages durable_;
  FileImages cached_;
  std::deque<Pending> pending_;
};

}  // namespace memfail::journal
