// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/preallocate.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace memfail::journal {
namespace {

using Failure = std::unexpected<std::string>;

std::string quoted(const std::string& path, std::uint32_t index) {
  return "'" + path + "/" + journal_file_name(index) + "'";
}

// One file that is open but may not be full yet.
struct OpenFile {
  shm::UniqueFd fd;
  std::uint64_t size = 0;
  bool made_now = false;
};

std::string no_room(const std::string& path, std::uint64_t needed, std::uint64_t available) {
  return "journal directory '" + path + "' needs " + std::to_string(needed) + " more bytes and " +
         std::to_string(available) +
         " are free there; free some, or give a smaller --journal-size or --journal-files";
}

std::uint64_t available_at(int directory) {
  struct statvfs about{};
  if (::fstatvfs(directory, &about) != 0) return 0;
  return std::uint64_t{about.f_bavail} * about.f_frsize;
}

// A file that a start was interrupted at has nothing but zeros yet.
bool begins_with_zeros(int fd, std::uint64_t size) {
  std::array<std::byte, 64> first{};
  const std::size_t wanted = std::min<std::uint64_t>(first.size(), size);
  const ssize_t got = ::pread(fd, first.data(), wanted, 0);
  return got == static_cast<ssize_t>(wanted) &&
         std::ranges::all_of(first, [](std::byte one) { return one == std::byte{0}; });
}

std::expected<OpenFile, std::string> open_one(int directory, const std::string& path,
                                              std::uint32_t index,
                                              const JournalGeometry& geometry) {
  constexpr int kFlags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  const std::string name = journal_file_name(index);
  OpenFile file;
  file.fd.reset(::openat(directory, name.c_str(), kFlags));
  if (!file.fd.valid() && errno == ENOENT) {
    file.fd.reset(::openat(directory, name.c_str(), kFlags | O_CREAT | O_EXCL, 0600));
    file.made_now = file.fd.valid();
  }
  struct stat about{};
  if (!file.fd.valid() || ::fstat(file.fd.get(), &about) != 0) {
    return Failure(quoted(path, index) + " cannot be opened: " + std::strerror(errno));
  }
  if (!S_ISREG(about.st_mode)) return Failure(quoted(path, index) + " is not a regular file");
  if (about.st_uid != ::geteuid() || (about.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Failure(quoted(path, index) + " may be written by others than uid " +
                   std::to_string(::geteuid()) + ", which memfaild runs as; chown or chmod it");
  }
  file.size = static_cast<std::uint64_t>(about.st_size);
  if (file.size > geometry.file_size ||
      (file.size < geometry.file_size && !begins_with_zeros(file.fd.get(), file.size))) {
    return Failure(quoted(path, index) + " has " + std::to_string(file.size) + " bytes, not the " +
                   std::to_string(geometry.file_size) +
                   " of --journal-size; give the size it was made with, or another directory");
  }
  return file;
}

std::expected<void, int> fill(int fd, std::uint64_t from, std::uint64_t to) {
  static constexpr std::array<std::byte, kFileBlock> kZeros{};
  while (from < to) {
    const std::size_t wanted = std::min(kFileBlock - from % kFileBlock, to - from);
    const ssize_t done = ::pwrite(fd, kZeros.data(), wanted, static_cast<off_t>(from));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return std::unexpected(done < 0 ? errno : EIO);
    from += static_cast<std::uint64_t>(done);
  }
  if (::fsync(fd) != 0) return std::unexpected(errno);
  return {};
}

void remove_made(int directory, const std::vector<OpenFile>& files) {
  for (std::uint32_t index = 0; index < files.size(); ++index) {
    if (files[index].made_now) ::unlinkat(directory, journal_file_name(index).c_str(), 0);
  }
}

std::uint64_t missing_bytes(const std::vector<OpenFile>& files, const JournalGeometry& geometry) {
  std::uint64_t missing = 0;
  for (const OpenFile& file : files) missing += geometry.file_size - file.size;
  return missing;
}

std::expected<void, std::string> fill_all(int directory, const std::string& path,
                                          const std::vector<OpenFile>& files,
                                          const JournalGeometry& geometry) {
  const std::uint64_t missing = missing_bytes(files, geometry);
  if (missing == 0) return {};
  const std::uint64_t available = available_at(directory);
  if (available < missing) return Failure(no_room(path, missing, available));
  for (std::uint32_t index = 0; index < files.size(); ++index) {
    if (files[index].size == geometry.file_size) continue;
    const auto filled = fill(files[index].fd.get(), files[index].size, geometry.file_size);
    if (filled) continue;
    if (filled.error() == ENOSPC || filled.error() == EDQUOT) {
      return Failure(no_room(path, missing, available_at(directory)));
    }
    return Failure(quoted(path, index) + " cannot be filled: " + std::strerror(filled.error()));
  }
  if (::fsync(directory) != 0) {
    return Failure("journal directory '" + path + "' cannot be synced: " + std::strerror(errno));
  }
  return {};
}

}  // namespace

std::expected<std::vector<shm::UniqueFd>, std::string> preallocate_files(
    int directory, const std::string& path, const JournalGeometry& geometry) {
  std::vector<OpenFile> files;
  std::expected<void, std::string> result;
  for (std::uint32_t index = 0; result && index < geometry.files; ++index) {
    auto file = open_one(directory, path, index, geometry);
    if (!file) result = Failure(file.error());
    if (file) files.push_back(std::move(*file));
  }
  if (result) result = fill_all(directory, path, files, geometry);
  if (!result) {
    remove_made(directory, files);
    return Failure(result.error());
  }
  std::vector<shm::UniqueFd> descriptors;
  descriptors.reserve(files.size());
  for (OpenFile& file : files) descriptors.push_back(std::move(file.fd));
  return descriptors;
}

}  // namespace memfail::journal
