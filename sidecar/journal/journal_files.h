// SPDX-License-Identifier: BSD-3-Clause
//
// Writes records into the ring of journal files. Used by the journal thread
// alone: every call may block for as long as the disk does.
//
// A file is begun with a header and a checkpoint, and these are synced before the
// first record goes into it; so whatever whole checkpoint has the highest
// generation, all that was acknowledged before it is in it. The file before it is
// kept until then: it is the one that a file is never begun in.
//
// After a failed write or sync the file is left as it is, because nothing that
// was written since the last good sync may be believed, and asking again proves
// nothing. The records that were not acknowledged go into the next file with the
// same numbers and seqs: the caller gives them again.
//
// A start goes on in the newest file. What it holds may have been written and not
// synced, or its sync have failed, by a process that then died: it is written once
// more in place and synced, and what stands behind its last whole record is
// cleared, before anything is acknowledged. Where that fails twice (a bad place), it
// is left as a failed one is: what its writer had acknowledged is on the disk, and
// the rest is still with the caller, who gives it for the next file.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "sidecar/journal/file_reader.h"
#include "sidecar/journal/file_uses.h"
#include "sidecar/journal/journal_directory.h"
#include "sidecar/journal/journal_io.h"
#include "sidecar/journal/journal_recovery.h"
#include "sidecar/journal/live_state.h"

namespace memfail::journal {

struct JournalIdentity {
  wire::Id128 journal;
  wire::Id128 boot;
};

// The first `records` are durable. Not all of them: `error` says why (errno).
struct Appended {
  std::size_t records = 0;
  int error = 0;
};

class JournalFiles {
 public:
  // `identity.journal` must be that of `recovered`, if it has one.
  JournalFiles(std::unique_ptr<JournalIo> io, const JournalGeometry& geometry,
               const JournalIdentity& identity, Recovered recovered);

  // Makes the newest file sure, after a start. append() does it too, where it was
  // not done yet.
  std::expected<void, int> confirm();

  // In the order of their numbers, from the first that was not acknowledged, in this
  // process or an earlier one; those that the journal has already count as durable.
  // After an error the rest is given again, whenever the caller likes.
  Appended append(std::span<const Record> records);

  // The last event that survives a power cut, and the oldest that can be read.
  [[nodiscard]] std::uint64_t durable_seq() const { return durable_end_ - 1; }
  [[nodiscard]] std::uint64_t first_seq() const { return uses_.first_seq(durable_end_); }
  [[nodiscard]] const LiveState& state() const { return state_; }
  [[nodiscard]] std::uint64_t generation() const { return generation_; }

  // For the history reader.
  [[nodiscard]] JournalIo& io() { return *io_; }
  [[nodiscard]] const FileUses& uses() const { return uses_; }
  [[nodiscard]] FilePart part_of(std::uint32_t file) const;

 private:
  using Result = std::expected<void, int>;
  struct Current {
    std::uint32_t file = 0;
    std::uint64_t begin = 0;  // offset of the first record
    std::uint64_t end = 0;    // and of the next one
  };

  Result leave_newest(std::uint64_t first_number, int error);
  [[nodiscard]] std::expected<LiveState, int> state_before(const NewestFile& newest,
                                                           std::uint64_t first_number);
  Result begin();
  Result write_begin(std::uint32_t file, const SeqRange& lost);
  Result rewrite(std::uint32_t file, std::uint64_t from, std::uint64_t to);
  Result clear(std::uint32_t file, std::uint64_t from);
  Result write_staged(std::uint32_t file, std::uint64_t offset);
  [[nodiscard]] std::uint32_t choose() const;
  Appended write_fitting(std::span<const Record> records);
  std::size_t stage(std::span<const Record> records);
  void stage_record(const FrameKey& key, const Record& record);
  void take(std::span<const Record> records);
  void abandon();
  [[nodiscard]] FrameKey key() const { return {identity_.journal, generation_}; }

  std::unique_ptr<JournalIo> io_;
  JournalGeometry geometry_;
  JournalIdentity identity_;
  FileUses uses_;
  std::uint64_t generation_;
  std::optional<NewestFile> to_confirm_;  // none: it is sure
  std::uint32_t unconfirmed_ = 0;         // attempts to make it so
  std::optional<Current> current_;        // none: the next record needs a new file
  std::optional<std::uint32_t> kept_;     // with the last checkpoint that is sure
  std::uint32_t attempts_ = 0;            // to begin a file, since the last success
  LiveState state_;                       // of all records that are durable
  std::uint64_t durable_end_ = 1;
  std::vector<std::byte> staged_;
};

}  // namespace memfail::journal
