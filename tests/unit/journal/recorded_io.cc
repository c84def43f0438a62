// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/journal/recorded_io.h"

#include <algorithm>
#include <cerrno>
#include <ranges>
#include <set>
#include <utility>

namespace memfail::journal {
namespace {

void put(FileImages& images, std::uint32_t file, std::size_t at, std::span<const std::byte> bytes) {
  std::ranges::copy(bytes, images[file].begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

std::expected<void, int> RecordedIo::write(std::uint32_t file, std::uint64_t offset,
                                           std::span<const std::byte> bytes) {
  if (offset + bytes.size() > images_[file].size()) return std::unexpected(EFBIG);
  IoStep step{IoStep::Kind::kWrite, file, offset, {bytes.begin(), bytes.end()}, 0, 0};
  const std::optional<int> error = fault ? fault(step) : std::nullopt;
  // A write that fails may have got half way.
  if (error) step.bytes.resize(step.bytes.size() / 2);
  put(images_, file, offset, step.bytes);
  steps_.push_back(std::move(step));
  if (error) return std::unexpected(*error);
  return {};
}

std::expected<void, int> RecordedIo::read(std::uint32_t file, std::uint64_t offset,
                                          std::span<std::byte> bytes) {
  const std::vector<std::byte>& image = images_[file];
  if (offset + bytes.size() > image.size()) return std::unexpected(EIO);
  std::ranges::copy_n(image.begin() + static_cast<std::ptrdiff_t>(offset),
                      static_cast<std::ptrdiff_t>(bytes.size()), bytes.begin());
  return {};
}

std::expected<void, int> RecordedIo::sync(std::uint32_t file) {
  IoStep step{IoStep::Kind::kSync, file, 0, {}, 0, 0};
  const std::optional<int> error = fault ? fault(step) : std::nullopt;
  if (error) step.kind = IoStep::Kind::kFailedSync;
  steps_.push_back(std::move(step));
  if (error) return std::unexpected(*error);
  return {};
}

void RecordedIo::acknowledge(std::uint64_t records, std::uint64_t first_seq) {
  steps_.push_back({IoStep::Kind::kAcknowledged, 0, 0, {}, records, first_seq});
}

void PowerCut::apply(const IoStep& step) {
  switch (step.kind) {
    case IoStep::Kind::kWrite:
      write(step);
      break;
    case IoStep::Kind::kSync:
      sync(step.file);
      break;
    case IoStep::Kind::kFailedSync:
      for (Pending& one : pending_) one.doubtful = one.doubtful || one.file == step.file;
      break;
    case IoStep::Kind::kAcknowledged:
      break;
  }
}

void PowerCut::write(const IoStep& step) {
  if (step.bytes.empty()) return;
  put(cached_, step.file, step.offset, step.bytes);
  const std::size_t first = step.offset / kSector;
  const std::size_t last = (step.offset + step.bytes.size() - 1) / kSector;
  for (std::size_t sector = first; sector <= last; ++sector) {
    const auto begin = cached_[step.file].begin() + static_cast<std::ptrdiff_t>(sector * kSector);
    pending_.push_back({step.file, sector, {begin, begin + kSector}, false});
  }
}

// Sectors written since the last sync are on the disk for good, and with them
// it is known what stands there. Doubtful ones that were not written again stay so.
void PowerCut::sync(std::uint32_t file) {
  std::set<std::size_t> known;
  for (const Pending& one : pending_) {
    if (one.file != file || one.doubtful) continue;
    known.insert(one.sector);
    put(durable_, file, one.sector * kSector, one.bytes);
  }
  std::erase_if(pending_,
                [&](const Pending& one) { return one.file == file && known.contains(one.sector); });
}

FileImages PowerCut::cut(const Keep& keep) const {
  FileImages images = durable_;
  for (const Pending& one : pending_) {
    if (keep()) put(images, one.file, one.sector * kSector, one.bytes);
  }
  return images;
}

}  // namespace memfail::journal
