// SPDX-License-Identifier: BSD-3-Clause
//
// The records of one journal file, one after the other, with no more of the file
// in memory than a piece.
#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "sidecar/journal/file_header.h"
#include "sidecar/journal/journal_io.h"
#include "sidecar/journal/record_frame.h"

namespace memfail::journal {

// What of a file is looked at: the frames of one generation from `from` up to `end`.
struct FilePart {
  std::uint32_t file = 0;
  FrameKey key;
  std::uint64_t from = kFileHeaderSize;
  std::uint64_t end = 0;
};

class FileReader {
 public:
  FileReader(JournalIo& io, const FilePart& part) : io_(&io), part_(part), base_(part.from) {}

  // The frame that stands next; its payload is valid until the next call. A state
  // other than kWhole is the end: the call repeats it. The error is errno.
  std::expected<Frame, int> next();

  // Where the next frame begins.
  [[nodiscard]] std::uint64_t offset() const { return base_ + at_; }

  // After an end: goes on 8 bytes further. For looking whether anything whole
  // stands behind damage; what is found so is never taken for a record.
  void skip();

 private:
  std::expected<void, int> fill(std::uint64_t size);
  [[nodiscard]] Frame here() const;
  [[nodiscard]] bool may_go_on(const Frame& frame) const;

  JournalIo* io_;
  FilePart part_;
  std::uint64_t base_;  // of the piece in memory
  std::size_t at_ = 0;  // in the piece
  std::vector<std::byte> piece_;
};

std::expected<std::expected<FileHeader, BadHeader>, int> read_header(JournalIo& io,
                                                                     std::uint32_t file);

}  // namespace memfail::journal
