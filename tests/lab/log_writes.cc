// SPDX-License-Identifier: BSD-3-Clause
#include "tests/lab/log_writes.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace memfail::lab {
namespace {

constexpr std::uint64_t kMagic = 0x6A73'6677'7368'72;
constexpr std::uint64_t kFlush = 1;
constexpr std::uint64_t kFua = 2;
constexpr std::uint64_t kDiscard = 4;
constexpr std::uint64_t kMark = 8;
constexpr std::size_t kCopyBytes = 1 << 20;

// Both little-endian, each at the start of a sector of its own.
struct Super {
  std::uint64_t magic;
  std::uint64_t version;
  std::uint64_t entries;
  std::uint32_t sector_size;
};
struct Entry {
  std::uint64_t sector;
  std::uint64_t sectors;
  std::uint64_t flags;
  std::uint64_t data_size;  // of a mark's text, behind the entry
};

void read_at(int fd, void* to, std::size_t size, std::uint64_t at) {
  if (::pread(fd, to, size, static_cast<off_t>(at)) != static_cast<ssize_t>(size)) {
    give_up("reading " + std::to_string(size) + " bytes at " + std::to_string(at));
  }
}

void write_at(int fd, const void* from, std::size_t size, std::uint64_t at) {
  if (::pwrite(fd, from, size, static_cast<off_t>(at)) != static_cast<ssize_t>(size)) {
    give_up("writing " + std::to_string(size) + " bytes at " + std::to_string(at));
  }
}

void copy_range(int from, std::uint64_t from_at, int to, std::uint64_t to_at, std::uint64_t size) {
  static std::array<char, kCopyBytes> buffer;
  for (std::uint64_t done = 0; done < size;) {
    const std::size_t part = std::min<std::uint64_t>(buffer.size(), size - done);
    read_at(from, buffer.data(), part, from_at + done);
    write_at(to, buffer.data(), part, to_at + done);
    done += part;
  }
}

}  // namespace

void give_up(const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(2);
}

WriteLog::WriteLog(const char* path) : fd_(::open(path, O_RDONLY | O_CLOEXEC)) {
  if (fd_ < 0) give_up(path);
  Super super{};
  read_at(fd_, &super, sizeof super, 0);
  if (super.magic != kMagic || super.version != 1) {
    errno = EINVAL;
    give_up(std::string(path) + " holds no log of dm-log-writes");
  }
  sector_size_ = super.sector_size;
  std::uint64_t at = sector_size_;
  for (std::uint64_t i = 0; i < super.entries; ++i) {
    Entry raw{};
    read_at(fd_, &raw, sizeof raw, at);
    LogEntry entry{raw.sector,
                   raw.sectors,
                   (raw.flags & kFlush) != 0,
                   (raw.flags & kFua) != 0,
                   (raw.flags & kDiscard) != 0,
                   {},
                   at + sector_size_};
    if ((raw.flags & kMark) != 0) {
      std::string text(raw.data_size, '\0');
      read_at(fd_, text.data(), text.size(), at + sizeof raw);
      entry.mark = text.c_str();  // up to its terminator
    }
    const bool has_data = !entry.discard && !entry.mark;
    at += sector_size_ * (1 + (has_data ? entry.sectors : 0));
    entries_.push_back(std::move(entry));
  }
}

WriteLog::~WriteLog() { ::close(fd_); }

void WriteLog::replay(const LogEntry& entry, int fd) const {
  if (!writes(entry)) return;  // what was discarded may read as it did
  copy_range(fd_, entry.data_at, fd, entry.sector * sector_size_, entry.sectors * sector_size_);
}

void copy_device(int from, int to, std::uint64_t size) { copy_range(from, 0, to, 0, size); }

std::uint64_t size_of_device(int fd) {
  const off_t size = ::lseek(fd, 0, SEEK_END);
  if (size <= 0) give_up("the size of a device");
  return static_cast<std::uint64_t>(size);
}

}  // namespace memfail::lab
