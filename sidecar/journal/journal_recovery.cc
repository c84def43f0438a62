// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/journal_recovery.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "sidecar/journal/file_reader.h"

namespace memfail::journal {
namespace {

using Failure = std::unexpected<std::string>;

// One file, as far as its header and checkpoint tell.
struct Begun {
  FileHeader header;
  std::vector<std::byte> checkpoint;  // the payload; empty: it is not whole
  std::uint64_t checkpoint_end = kFileHeaderSize;
  std::uint64_t next_seq = 0;
  std::uint64_t first_seq = 0;
};

const wire::Checkpoint* checkpoint_in(std::span<const std::byte> payload) {
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(payload.data()),
                                 payload.size());
  return wire::VerifyCheckpointBuffer(verifier) ? wire::GetCheckpoint(payload.data()) : nullptr;
}

class Recovery {
 public:
  Recovery(JournalIo& io, const JournalGeometry& geometry, const std::string& path)
      : io_(io), geometry_(geometry), path_(path), begun_(geometry.files) {}

  std::expected<Recovered, std::string> run();

 private:
  using Step = std::expected<void, std::string>;

  [[nodiscard]] std::string name(std::uint32_t file) const {
    return "'" + path_ + "/" + journal_file_name(file) + "'";
  }
  [[nodiscard]] Failure unreadable(std::uint32_t file, int error) const {
    return Failure(name(file) + " cannot be read: " + std::strerror(error));
  }
  [[nodiscard]] Failure senseless(std::uint32_t file) const {
    return Failure(name(file) + " has a checkpoint that makes no sense; use another directory");
  }
  [[nodiscard]] Failure unknown(std::uint32_t file, const BadHeader& bad) const;
  [[nodiscard]] FilePart part(std::uint32_t file, std::uint64_t from) const {
    return {file,
            {begun_[file]->header.journal, begun_[file]->header.generation},
            from,
            geometry_.file_size};
  }
  Step read_begin(std::uint32_t file);
  Step check_header(std::uint32_t file, const FileHeader& header);
  Step read_checkpoint(std::uint32_t file);
  Step choose_newest();
  Step check_unfinished(std::uint64_t newest);
  Step check_damage(std::uint32_t file);
  Step replay();
  void apply(const Record& record);

  JournalIo& io_;
  const JournalGeometry& geometry_;
  const std::string& path_;
  std::vector<std::optional<Begun>> begun_;
  Recovered found_;
};

Failure Recovery::unknown(std::uint32_t file, const BadHeader& bad) const {
  if (bad.kind == BadHeader::Kind::kNewer) {
    return Failure(name(file) + " has format version " + std::to_string(bad.version) +
                   ", this memfaild knows " + std::to_string(kFormatVersion) +
                   "; use the memfaild that wrote it, or another directory");
  }
  return Failure(name(file) +
                 " does not begin as a journal of memfaild does: damaged, or another's file; "
                 "use another directory");
}

Recovery::Step Recovery::check_header(std::uint32_t file, const FileHeader& header) {
  if (header.file_size != geometry_.file_size) {
    return Failure(name(file) + " was made with " + std::to_string(header.file_size) +
                   " bytes a file, not " + std::to_string(geometry_.file_size) +
                   "; give --journal-size as it was, or another directory");
  }
  if (found_.journal && !same_id(*found_.journal, header.journal)) {
    return Failure(name(file) +
                   " is of another journal than the files before it; move it away, "
                   "or use another directory");
  }
  found_.journal = header.journal;
  found_.generation = std::max(found_.generation, header.generation);
  return {};
}

Recovery::Step Recovery::read_checkpoint(std::uint32_t file) {
  FileReader reader(io_, part(file, kFileHeaderSize));
  const auto frame = reader.next();
  if (!frame) return unreadable(file, frame.error());
  if (frame->state != FrameState::kWhole || frame->record.type != RecordType::kCheckpoint) {
    return {};
  }
  const std::span<const std::byte> payload = frame->record.payload;
  const wire::Checkpoint* checkpoint = checkpoint_in(payload);
  if (checkpoint == nullptr) return senseless(file);
  Begun& begun = *begun_[file];
  begun.checkpoint.assign(payload.begin(), payload.end());
  begun.checkpoint_end = reader.offset();
  begun.next_seq = checkpoint->next_seq();
  begun.first_seq = checkpoint->first_seq();
  return {};
}

Recovery::Step Recovery::read_begin(std::uint32_t file) {
  const auto header = read_header(io_, file);
  if (!header) return unreadable(file, header.error());
  if (!*header) {
    const BadHeader& bad = header->error();
    if (bad.kind == BadHeader::Kind::kUnused) return {};
    return unknown(file, bad);
  }
  if (const auto good = check_header(file, **header); !good) return good;
  begun_[file].emplace().header = **header;
  return read_checkpoint(file);
}

// A whole record behind a torn checkpoint. Found at any offset: how long the
// checkpoint was is not known.
Recovery::Step Recovery::check_damage(std::uint32_t file) {
  FileReader reader(io_, part(file, kFileHeaderSize));
  while (reader.offset() + kFrameHeader <= geometry_.file_size) {
    const auto frame = reader.next();
    if (!frame) return unreadable(file, frame.error());
    if (frame->state == FrameState::kWhole && frame->record.number != 0) {
      return Failure(name(file) +
                     " is damaged: records stand behind a checkpoint that is not whole; "
                     "use another directory");
    }
    if (frame->state != FrameState::kWhole) reader.skip();
  }
  return {};
}

Recovery::Step Recovery::check_unfinished(std::uint64_t newest) {
  for (std::uint32_t file = 0; file < begun_.size(); ++file) {
    if (!begun_[file] || begun_[file]->header.generation <= newest) continue;
    if (const auto whole = check_damage(file); !whole) return whole;
  }
  return {};
}

Recovery::Step Recovery::choose_newest() {
  for (std::uint32_t file = 0; file < begun_.size(); ++file) {
    if (!begun_[file] || begun_[file]->checkpoint.empty()) continue;
    found_.uses.set(file, {begun_[file]->header.generation, begun_[file]->next_seq});
  }
  const std::optional<std::uint32_t> newest = found_.uses.newest();
  if (!newest) return check_unfinished(0);
  const Begun& begun = *begun_[*newest];
  if (const auto good = check_unfinished(begun.header.generation); !good) return good;
  auto state = LiveState::from_checkpoint(begun.checkpoint);
  if (!state) return senseless(*newest);
  found_.state = std::move(*state);
  found_.state.limit_checkpoint(CheckpointRoom::of_file(geometry_.file_size));
  found_.uses.forget_before(begun.first_seq);
  found_.newest = NewestFile{
      *newest, begun.header.generation, begun.checkpoint_end, begun.checkpoint_end, begun.next_seq,
      false};
  return {};
}

void Recovery::apply(const Record& record) {
  if (record.number == 0) return;
  if (record.number > found_.state.next_number()) found_.state.skip_to(record.number);
  (void)found_.state.apply(record);
}

Recovery::Step Recovery::replay() {
  if (!found_.newest) return {};
  NewestFile& newest = *found_.newest;
  FileReader reader(io_, part(newest.file, newest.checkpoint_end));
  for (;;) {
    const auto frame = reader.next();
    if (!frame) return unreadable(newest.file, frame.error());
    if (frame->state != FrameState::kWhole) {
      newest.torn = frame->state == FrameState::kTorn;
      return {};
    }
    apply(frame->record);
    newest.end = reader.offset();
  }
}

std::expected<Recovered, std::string> Recovery::run() {
  found_.uses = FileUses(geometry_.files);
  found_.state.limit_checkpoint(CheckpointRoom::of_file(geometry_.file_size));
  for (std::uint32_t file = 0; file < geometry_.files; ++file) {
    if (const auto good = read_begin(file); !good) return Failure(good.error());
  }
  if (const auto good = choose_newest(); !good) return Failure(good.error());
  if (const auto good = replay(); !good) return Failure(good.error());
  return std::move(found_);
}

}  // namespace

std::expected<Recovered, std::string> recover(JournalIo& io, const JournalGeometry& geometry,
                                              const std::string& path) {
  return Recovery(io, geometry, path).run();
}

}  // namespace memfail::journal
