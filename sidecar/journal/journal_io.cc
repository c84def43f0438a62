// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(journal): pwrite64 pread64 fdatasync fstatfs
#include "sidecar/journal/journal_io.h"

#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace memfail::journal {

DiskIo::DiskIo(std::vector<shm::UniqueFd> files) : files_(std::move(files)) {}

std::expected<void, int> DiskIo::write(std::uint32_t file, std::uint64_t offset,
                                       std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done =
        ::pwrite(files_[file].get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return std::unexpected(errno);
    if (done == 0) return std::unexpected(EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return {};
}

std::expected<void, int> DiskIo::read(std::uint32_t file, std::uint64_t offset,
                                      std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done =
        ::pread(files_[file].get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return std::unexpected(errno);
    if (done == 0) return std::unexpected(EIO);  // somebody has cut the file short
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return {};
}

std::expected<void, int> DiskIo::sync(std::uint32_t file) {
  // An interrupted one is an error like any other: whether the pages were
  // marked clean before the signal came cannot be known.
  const int fd = files_[file].get();
  if (::fdatasync(fd) != 0) return std::unexpected(errno);
  // A file system that was made read-only under its open files (an administrator's
  // emergency remount) takes what is written and answers 0 without writing it: ext4 does.
  struct statfs about{};
  if (::fstatfs(fd, &about) != 0) return std::unexpected(errno);
  if ((about.f_flags & ST_RDONLY) != 0) return std::unexpected(EROFS);
  return {};
}

}  // namespace memfail::journal
