// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/backing.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "shm/unique_fd.h"
#include "vmm_shim/drop_page.h"
#include "vmm_shim/line_reader.h"

namespace memfail::shim {
namespace {

// On the stack of a vCPU's thread. Of a line that is longer what matters is in front,
// but for a mount point of some thousand letters: that mount is not seen.
constexpr std::size_t kBufferSize = 4096;

// A text of /proc about this process, and the lines that parse.
class ProcFile {
 public:
  explicit ProcFile(const char* path)
      : fd_(::open(path, O_RDONLY | O_CLOEXEC)),
        open_error_(fd_.valid() ? 0 : errno),
        lines_(fd_.get(), buffer_) {}

  template <typename Parse>
  auto next(Parse parse) -> decltype(parse(std::string_view())) {
    while (open_error_ == 0) {
      const auto line = lines_.next();
      if (!line) break;
      if (auto entry = parse(*line)) return entry;
    }
    return std::nullopt;
  }
  [[nodiscard]] int error() const { return open_error_ != 0 ? open_error_ : lines_.error(); }

 private:
  std::array<char, kBufferSize> buffer_;
  shm::UniqueFd fd_;
  int open_error_;
  LineReader lines_;
};

constexpr const char* kMaps = "/proc/self/maps";

bool holds(const MapsEntry& entry, std::uint64_t hva, std::uint64_t size) {
  return hva >= entry.start && hva < entry.end && size <= entry.end - hva;
}

// The part of `entry` that shows the file's bytes [from, to): its addresses.
struct Window {
  std::uint64_t start = 0;
  std::uint64_t size = 0;  // 0: none
};

Window window_of(const MapsEntry& entry, std::uint64_t from, std::uint64_t to) {
  const std::uint64_t length = entry.end - entry.start;
  const std::uint64_t first = std::max(from, entry.offset);
  const std::uint64_t last = std::min(to, entry.offset + length);
  if (first >= last) return {};
  return {entry.start + (first - entry.offset), last - first};
}

}  // namespace

std::expected<BackedRange, PageOutcome> find_backing(std::uint64_t hva, std::uint64_t size) {
  ProcFile maps(kMaps);
  while (auto entry = maps.next(parse_maps_line)) {
    if (!holds(*entry, hva, size)) continue;
    BackedRange range{backing_of(*entry), *entry};
    range.mapping.name = {};
    return range;
  }
  if (maps.error() != 0) {
    return std::unexpected(PageOutcome{PageResult::kMapsUnreadable, maps.error()});
  }
  return std::unexpected(PageOutcome{PageResult::kNotMapped, 0});
}

bool is_memory_file(const BackedRange& range) {
  if (range.backing != Backing::kSharedFile) return range.backing == Backing::kKernelMemory;
  ProcFile mounts("/proc/self/mountinfo");
  while (const auto mount = mounts.next(parse_mount_line)) {
    if (mount->device == range.mapping.device) return is_memory_file_system(mount->file_system);
  }
  return false;
}

int drop_everywhere(const BackedRange& range, std::uint64_t hva, std::uint64_t size) {
  if (const int error = drop_pages(hva, size); error != 0) return error;
  const MapsEntry& own = range.mapping;
  if (!own.shared) return 0;
  // The kernel marks a poisoned page in each page table that had it, and a hole in the
  // file leaves these marks: a VMM that maps its RAM twice would meet the other one.
  const std::uint64_t from = own.offset + (hva - own.start);
  ProcFile maps(kMaps);
  while (const auto entry = maps.next(parse_maps_line)) {
    const bool same_file = entry->device == own.device && entry->inode == own.inode;
    // A private mapping's pages may be copies, which are its owner's.
    if (!same_file || !entry->shared) continue;
    const Window window = window_of(*entry, from, from + size);
    if (window.size == 0) continue;
    if (const int error = drop_pages(window.start, window.size); error != 0) return error;
  }
  return maps.error();
}

}  // namespace memfail::shim
