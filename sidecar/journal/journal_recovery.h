// SPDX-License-Identifier: BSD-3-Clause
//
// What stands in the journal's files when memfaild starts. Reads only.
//
// Recovered: a torn end, holes, records of earlier generations, a file whose next
// use had begun and did not get as far as its checkpoint. Refused by name: what
// cannot be read, is of another journal, or something else, or of a newer format,
// or has records behind a checkpoint that is not whole (checkpoints are synced
// before the first record: that is damage, and going on from an older file would
// give the same seq twice).
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "sidecar/journal/file_uses.h"
#include "sidecar/journal/journal_directory.h"
#include "sidecar/journal/journal_io.h"
#include "sidecar/journal/live_state.h"

namespace memfail::journal {

struct NewestFile {
  std::uint32_t file = 0;
  std::uint64_t generation = 0;
  std::uint64_t checkpoint_end = 0;    // offsets: where the checkpoint's frame ends
  std::uint64_t end = 0;               // where the last whole record does
  std::uint64_t checkpoint_seq = 1;    // the next event at the checkpoint
  bool torn = false;                   // something that was not finished follows
};

struct Recovered {
  std::optional<wire::Id128> journal;  // none: nothing was ever recorded here
  std::uint64_t generation = 0;        // the highest that was ever begun
  FileUses uses;
  std::optional<NewestFile> newest;    // none: all begins anew
  LiveState state;                     // after the newest file's last whole record
};

// `path` is what messages name.
std::expected<Recovered, std::string> recover(JournalIo& io, const JournalGeometry& geometry,
                                              const std::string& path);

}  // namespace memfail::journal
