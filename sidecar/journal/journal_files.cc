// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/journal_files.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "sidecar/journal/file_header.h"
#include "sidecar/journal/file_reader.h"

namespace memfail::journal {
namespace {

// One write and one sync: more would let the first records of a burst wait.
constexpr std::size_t kMaxStaged = std::size_t{256} << 10;
constexpr std::uint64_t kPiece = std::uint64_t{64} << 10;

// In place, before the newest file of a start is left: the first may have met a disk
// that comes back.
constexpr std::uint32_t kTriedInPlace = 2;

// While nothing can be begun, only so many files lose what they held.
constexpr std::size_t kTriedFiles = 2;

std::uint64_t realtime_us() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
}

}  // namespace

JournalFiles::JournalFiles(std::unique_ptr<JournalIo> io, const JournalGeometry& geometry,
                           const JournalIdentity& identity, Recovered recovered)
    : io_(std::move(io)),
      geometry_(geometry),
      identity_(identity),
      uses_(std::move(recovered.uses)),
      generation_(recovered.generation),
      to_confirm_(recovered.newest),
      state_(std::move(recovered.state)) {
  if (!to_confirm_) return;
  kept_ = to_confirm_->file;
  durable_end_ = to_confirm_->checkpoint_seq;
}

FilePart JournalFiles::part_of(std::uint32_t file) const {
  const bool current = current_ && current_->file == file;
  return {file,
          {identity_.journal, uses_.at(file).generation},
          kFileHeaderSize,
          current ? current_->end : geometry_.file_size};
}

// The same bytes once more: only then is a sync of them to be believed.
JournalFiles::Result JournalFiles::rewrite(std::uint32_t file, std::uint64_t from,
                                           std::uint64_t to) {
  std::vector<std::byte> bytes;
  for (; from < to; from += bytes.size()) {
    bytes.resize(std::min(kPiece, to - from));
    if (const auto read = io_->read(file, from, bytes); !read) return read;
    if (const auto written = io_->write(file, from, bytes); !written) return written;
  }
  return {};
}

// A record that was being written when a process died may stand, whole, behind
// one that did not arrive: it must not follow the next one to be written.
JournalFiles::Result JournalFiles::clear(std::uint32_t file, std::uint64_t from) {
  static constexpr std::array<std::byte, kFileBlock> kZeros{};
  std::array<std::byte, kFileBlock> there{};
  while (from < geometry_.file_size) {
    const std::uint64_t size = std::min(kFileBlock - from % kFileBlock, geometry_.file_size - from);
    const std::span<std::byte> block = std::span(there).first(size);
    if (const auto read = io_->read(file, from, block); !read) return read;
    if (!std::ranges::all_of(block, [](std::byte one) { return one == std::byte{0}; })) {
      const auto written = io_->write(file, from, std::span(kZeros).first(size));
      if (!written) return written;
    }
    from += size;
  }
  return {};
}

std::expected<void, int> JournalFiles::confirm() {
  if (!to_confirm_) return {};
  const NewestFile newest = *to_confirm_;
  if (const auto same = rewrite(newest.file, 0, newest.end); !same) return same;
  if (const auto clean = clear(newest.file, newest.end); !clean) return clean;
  if (const auto sure = io_->sync(newest.file); !sure) return sure;
  to_confirm_.reset();
  // A higher generation was begun elsewhere and not finished: the file with the
  // highest must remain the newest, so this one takes no more records.
  if (newest.generation == generation_) {
    current_ = Current{newest.file, newest.checkpoint_end, newest.end};
  }
  durable_end_ = state_.next_seq();
  return {};
}

// What the newest file says of the records before `first_number`.
std::expected<LiveState, int> JournalFiles::state_before(const NewestFile& newest,
                                                         std::uint64_t first_number) {
  FileReader reader(
      *io_,
      {newest.file, {identity_.journal, newest.generation}, kFileHeaderSize, geometry_.file_size});
  auto frame = reader.next();
  if (!frame) return std::unexpected(frame.error());
  if (frame->state != FrameState::kWhole) return std::unexpected(EIO);
  auto state = LiveState::from_checkpoint(frame->record.payload);
  if (!state) return std::unexpected(EIO);
  state->limit_checkpoint(CheckpointRoom::of_file(geometry_.file_size));
  for (frame = reader.next(); frame && reader.offset() <= newest.end; frame = reader.next()) {
    if (frame->state != FrameState::kWhole || frame->record.number >= first_number) break;
    if (frame->record.number == 0) continue;
    if (frame->record.number > state->next_number()) state->skip_to(frame->record.number);
    (void)state->apply(frame->record);
  }
  if (!frame) return std::unexpected(frame.error());
  return std::move(*state);
}

// It cannot be made sure. Records from `first_number` on were never acknowledged, and are
// written to the next file; those before were, where they stand. The next file's
// checkpoint is of these alone, so nothing is lost whenever the power goes.
JournalFiles::Result JournalFiles::leave_newest(std::uint64_t first_number, int error) {
  if (++unconfirmed_ < kTriedInPlace) return std::unexpected(error);
  auto state = state_before(*to_confirm_, first_number);
  if (!state) return std::unexpected(error);
  state_ = std::move(*state);
  durable_end_ = state_.next_seq();
  to_confirm_.reset();
  current_.reset();
  return {};
}

std::uint32_t JournalFiles::choose() const {
  const std::vector<std::uint32_t> files = uses_.candidates(kept_, state_.next_seq());
  return files[attempts_ % std::min(kTriedFiles, files.size())];
}

void JournalFiles::stage_record(const FrameKey& key, const Record& record) {
  const std::size_t at = staged_.size();
  staged_.resize(at + frame_size(record.payload.size()));
  write_frame(std::span(staged_).subspan(at), key, record);
}

JournalFiles::Result JournalFiles::write_staged(std::uint32_t file, std::uint64_t offset) {
  if (const auto written = io_->write(file, offset, staged_); !written) return written;
  return io_->sync(file);
}

JournalFiles::Result JournalFiles::write_begin(std::uint32_t file, const SeqRange& lost) {
  const FileHeader header{identity_.journal, generation_, geometry_.file_size};
  const auto bytes = encode(header);
  staged_.assign(bytes.begin(), bytes.end());
  const std::vector<std::byte> checkpoint = state_.checkpoint(
      {identity_.journal, identity_.boot, generation_, uses_.first_seq(state_.next_seq())});
  stage_record(key(), {RecordType::kCheckpoint, 0, 0, checkpoint});
  if (!lost.empty()) {
    const wire::LossRecord loss(lost.from, lost.to - 1, realtime_us());
    stage_record(key(), {RecordType::kLoss, 0, 0, std::as_bytes(std::span(&loss, 1))});
  }
  // It is never so large (checkpoint_room.h); one as large as the file would leave no room
  // for what follows it.
  if (staged_.size() > geometry_.file_size / 4 * 3) return std::unexpected(EFBIG);
  return write_staged(file, 0);
}

JournalFiles::Result JournalFiles::begin() {
  const std::uint32_t file = choose();
  const SeqRange lost = uses_.events_of(file, state_.next_seq());
  ++attempts_;
  ++generation_;
  uses_.set(file, {});
  if (const auto written = write_begin(file, lost); !written) return written;
  uses_.set(file, {generation_, state_.next_seq()});
  current_ = Current{file, staged_.size(), staged_.size()};
  kept_ = file;
  attempts_ = 0;
  return {};
}

// Only what was acknowledged in it is in its range from here on.
void JournalFiles::abandon() { current_.reset(); }

// Frames of as many records as fit; 0: the file is full.
std::size_t JournalFiles::stage(std::span<const Record> records) {
  staged_.clear();
  std::size_t count = 0;
  for (const Record& record : records) {
    const std::size_t size = staged_.size() + frame_size(record.payload.size());
    if (current_->end + size > geometry_.file_size) break;
    if (count > 0 && size > kMaxStaged) break;
    stage_record(key(), record);
    ++count;
  }
  return count;
}

void JournalFiles::take(std::span<const Record> records) {
  for (const Record& record : records) {
    if (record.number > state_.next_number()) state_.skip_to(record.number);
    (void)state_.apply(record);
  }
  durable_end_ = state_.next_seq();
}

Appended JournalFiles::write_fitting(std::span<const Record> records) {
  if (!current_) {
    if (const auto begun = begin(); !begun) return {0, begun.error()};
  }
  const std::size_t count = stage(records);
  if (count == 0) {
    const bool fresh = current_->end == current_->begin;
    abandon();
    return {0, fresh ? EFBIG : 0};  // no file has more room than one that was just begun
  }
  const std::uint32_t file = current_->file;
  if (const auto written = write_staged(file, current_->end); !written) {
    abandon();
    return {0, written.error()};
  }
  current_->end += staged_.size();
  take(records.first(count));
  return {count, 0};
}

Appended JournalFiles::append(std::span<const Record> records) {
  if (const auto sure = confirm(); !sure) {
    const std::uint64_t first = records.empty() ? state_.next_number() : records.front().number;
    if (const auto left = leave_newest(first, sure.error()); !left) return {0, left.error()};
  }
  std::size_t done = 0;
  while (done < records.size()) {
    if (records[done].number < state_.next_number()) {
      ++done;
      continue;
    }
    const Appended some = write_fitting(records.subspan(done));
    done += some.records;
    if (some.error != 0) return {done, some.error};
  }
  return {done, 0};
}

}  // namespace memfail::journal
