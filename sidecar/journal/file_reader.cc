// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/file_reader.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace memfail::journal {
namespace {

constexpr std::uint64_t kPiece = std::uint64_t{256} << 10;

}  // namespace

Frame FileReader::here() const {
  return read_frame(std::span<const std::byte>(piece_).subspan(at_), part_.key);
}

std::expected<void, int> FileReader::fill(std::uint64_t size) {
  const std::uint64_t from = offset();
  std::vector<std::byte> piece(std::min(size, part_.end - from));
  const auto read = io_->read(part_.file, from, piece);
  if (!read) return read;
  piece_ = std::move(piece);
  base_ = from;
  at_ = 0;
  return {};
}

// What is not whole within the piece may be so within a longer one.
bool FileReader::may_go_on(const Frame& frame) const {
  if (frame.state == FrameState::kWhole || base_ + piece_.size() == part_.end) return false;
  return frame.state == FrameState::kTorn || piece_.size() - at_ < kFrameHeader;
}

std::expected<Frame, int> FileReader::next() {
  Frame frame = here();
  while (may_go_on(frame)) {
    const std::uint64_t left = piece_.size() - at_;
    if (const auto filled = fill(std::max(kPiece, left * 2)); !filled) {
      return std::unexpected(filled.error());
    }
    frame = here();
  }
  if (frame.state == FrameState::kWhole) at_ += frame.size;
  return frame;
}

void FileReader::skip() { at_ = std::min(at_ + kFrameAlignment, piece_.size()); }

std::expected<std::expected<FileHeader, BadHeader>, int> read_header(JournalIo& io,
                                                                     std::uint32_t file) {
  std::array<std::byte, kFileHeaderSize> bytes{};
  if (const auto read = io.read(file, 0, bytes); !read) return std::unexpected(read.error());
  return decode_header(bytes);
}

}  // namespace memfail::journal
