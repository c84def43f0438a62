// SPDX-License-Identifier: BSD-3-Clause
//
// What the kernel says of this process's mappings, in the text of proc(5): how a page
// of guest RAM is backed is told to nobody else, and not by its VMM.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace memfail::shim {

struct Device {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  bool operator==(const Device&) const = default;
};

// One line of /proc/self/maps.
struct MapsEntry {
  std::uint64_t start = 0;
  std::uint64_t end = 0;  // one past the last byte
  bool shared = false;
  std::uint64_t offset = 0;  // of `start` in the file, bytes
  Device device;
  std::uint64_t inode = 0;  // 0: no file
  // In the line's memory. A newline in it is spelled \012, and a backslash is itself:
  // what it looks like is not always what it was.
  std::string_view name;
};

// Nothing for a line of another form.
std::optional<MapsEntry> parse_maps_line(std::string_view line);

enum class Backing : std::uint8_t {
  kAnonymous,         // 4 KiB or transparent huge pages
  kAnonymousHugetlb,  // MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB
  kKernelMemory,  // shared, of a file system nobody mounted: memfd, System V, shared anonymous
  kSharedFile,  // whether it is on a tmpfs or hugetlbfs is to be seen
  kPrivateFile,
};
Backing backing_of(const MapsEntry& entry);

// One line of /proc/self/mountinfo.
struct MountEntry {
  Device device;
  std::string_view file_system;  // its type, in the line's memory
};
std::optional<MountEntry> parse_mount_line(std::string_view line);

// Files of such a system are memory and nothing else: a hole in one is a loss of what
// is lost already.
bool is_memory_file_system(std::string_view type);

}  // namespace memfail::shim
