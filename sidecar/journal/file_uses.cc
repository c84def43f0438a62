// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/file_uses.h"

#include <algorithm>
#include <tuple>

namespace memfail::journal {

std::optional<std::uint32_t> FileUses::newest() const {
  std::optional<std::uint32_t> newest;
  for (std::uint32_t file = 0; file < count(); ++file) {
    if (uses_[file].generation == 0) continue;
    if (!newest || uses_[file].generation > uses_[*newest].generation) newest = file;
  }
  return newest;
}

SeqRange FileUses::events_of(std::uint32_t file, std::uint64_t end) const {
  const FileUse& use = uses_[file];
  if (use.generation == 0) return {end, end};
  const FileUse* next = nullptr;
  for (const FileUse& other : uses_) {
    if (other.generation <= use.generation) continue;
    if (next == nullptr || other.generation < next->generation) next = &other;
  }
  return {std::max(use.first_seq, floor_), next == nullptr ? end : next->first_seq};
}

std::optional<std::uint32_t> FileUses::holder_of(std::uint64_t seq, std::uint64_t end) const {
  std::optional<std::uint32_t> best;
  for (std::uint32_t file = 0; file < count(); ++file) {
    const SeqRange events = events_of(file, end);
    if (events.empty() || events.to <= seq) continue;
    if (!best || events.from < events_of(*best, end).from) best = file;
  }
  return best;
}

std::uint64_t FileUses::first_seq(std::uint64_t end) const {
  std::uint64_t first = end;
  for (std::uint32_t file = 0; file < count(); ++file) {
    const SeqRange events = events_of(file, end);
    if (!events.empty()) first = std::min(first, events.from);
  }
  return first;
}

std::vector<std::uint32_t> FileUses::candidates(std::optional<std::uint32_t> keep,
                                                std::uint64_t end) const {
  std::vector<std::uint32_t> files;
  for (std::uint32_t file = 0; file < count(); ++file) {
    if (file != keep) files.push_back(file);
  }
  std::ranges::sort(files, {}, [&](std::uint32_t file) {
    return std::tuple(!events_of(file, end).empty(), uses_[file].generation, file);
  });
  return files;
}

}  // namespace memfail::journal
