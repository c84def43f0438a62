// SPDX-License-Identifier: BSD-3-Clause
//
// Reads what the device-mapper target log-writes has recorded of a block device, and
// plays it back entry by entry: the device as a power cut would have left it there.
// The format is the kernel's (Documentation/admin-guide/device-mapper/log-writes.rst).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace memfail::lab {

struct LogEntry {
  std::uint64_t sector = 0;  // on the device, in units of the log's sector size
  std::uint64_t sectors = 0;
  bool flush = false;
  bool fua = false;
  bool discard = false;
  std::optional<std::string> mark;  // what was said with `dmsetup message … mark`
  std::uint64_t data_at = 0;        // byte offset of its data in the log
};

class WriteLog {
 public:
  // The log device. Ends the program with a line if it holds no log.
  explicit WriteLog(const char* path);
  ~WriteLog();
  WriteLog(const WriteLog&) = delete;
  WriteLog& operator=(const WriteLog&) = delete;

  const std::vector<LogEntry>& entries() const { return entries_; }
  // Whether replay() writes anything of it.
  static bool writes(const LogEntry& entry) {
    return !entry.mark && !entry.discard && entry.sectors != 0;
  }
  // Writes one entry's data to the device `fd`. Marks and flushes write nothing.
  void replay(const LogEntry& entry, int fd) const;

 private:
  int fd_;
  std::uint64_t sector_size_ = 0;
  std::vector<LogEntry> entries_;
};

// All of `from` (a device or file) to `to`.
void copy_device(int from, int to, std::uint64_t size);
std::uint64_t size_of_device(int fd);

[[noreturn]] void give_up(const std::string& what);  // with errno's text

}  // namespace memfail::lab
