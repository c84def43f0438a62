// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/journal_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include "sidecar/journal/preallocate.h"

namespace memfail::journal {
namespace {

using Failure = std::unexpected<std::string>;

constexpr const char* kLockName = "lock";
constexpr std::string_view kFilePrefix = "journal.";

std::string named(const std::string& path) { return "journal directory '" + path + "'"; }

// `hint`: what to do where there is none.
std::expected<shm::UniqueFd, std::string> open_directory(const std::string& path,
                                                         const std::string& hint) {
  shm::UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.valid()) return directory;
  if (errno == ENOENT) {
    return Failure(named(path) + " does not exist; " + hint);
  }
  if (errno == ENOTDIR) return Failure(named(path) + " is not a directory; give one");
  return Failure(named(path) + " cannot be opened: " + std::strerror(errno));
}

std::expected<void, std::string> check_owner(int directory, const std::string& path) {
  struct stat about{};
  if (::fstat(directory, &about) != 0) {
    return Failure(named(path) + " cannot be looked at: " + std::strerror(errno));
  }
  if (about.st_uid != ::geteuid()) {
    return Failure(named(path) + " belongs to uid " + std::to_string(about.st_uid) +
                   ", but memfaild runs as uid " + std::to_string(::geteuid()) + "; chown it");
  }
  // Whoever can write here can put a journal of his own in place of ours.
  if ((about.st_mode & (S_IWGRP | S_IWOTH)) == 0) return {};
  std::array<char, 8> mode{};
  std::snprintf(mode.data(), mode.size(), "%04o", about.st_mode & 07777u);
  return Failure(named(path) + " has mode " + mode.data() +
                 ", so others may write to it; chmod go-w it");
}

std::optional<std::uint32_t> index_of(std::string_view name) {
  if (!name.starts_with(kFilePrefix)) return std::nullopt;
  name.remove_prefix(kFilePrefix.size());
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  const bool whole = error == std::errc() && end == name.data() + name.size();
  if (!whole || index >= kMaxFiles || std::to_string(index) != name) return std::nullopt;
  return index;
}

struct Listing {
  std::uint32_t files = 0;  // one more than the highest number seen
  std::string foreign;      // a name that is none of ours; empty: none
};

std::expected<Listing, std::string> list(int directory, const std::string& path) {
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(copy < 0 ? nullptr : ::fdopendir(copy),
                                                   &::closedir);
  if (!stream) {
    const std::string why = std::strerror(errno);
    if (copy >= 0) ::close(copy);
    return Failure(named(path) + " cannot be listed: " + why);
  }
  Listing listing;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    const auto index = index_of(name);
    if (index) listing.files = std::max(listing.files, *index + 1);
    // The root of an ext4 file system of its own is a fine place.
    const bool known =
        index || name == "." || name == ".." || name == kLockName || name == "lost+found";
    if (!known) listing.foreign = name;
  }
  return listing;
}

std::expected<void, std::string> check_listing(int directory, const std::string& path,
                                               const JournalGeometry& geometry) {
  const auto listing = list(directory, path);
  if (!listing) return Failure(listing.error());
  if (!listing->foreign.empty()) {
    return Failure(named(path) + " holds '" + listing->foreign +
                   "', which is not memfaild's; give it a directory of its own");
  }
  if (listing->files > geometry.files) {
    return Failure(named(path) + " holds " + std::to_string(listing->files) +
                   " files, more than the " + std::to_string(geometry.files) +
                   " of --journal-files; give at least that many, or another directory");
  }
  return {};
}

std::string owner_of(int lock) {
  std::array<char, 32> text{};
  const ssize_t got = ::pread(lock, text.data(), text.size() - 1, 0);
  std::string_view words(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  words = words.substr(0, words.find('\n'));
  const bool digits = !words.empty() && words.find_first_not_of("0123456789") == words.npos;
  return digits ? " (pid " + std::string(words) + ")" : "";
}

// An open-file-description lock: it ends with the last descriptor, that is with
// the process however it ends, and another close() in the process leaves it.
std::expected<shm::UniqueFd, std::string> take_lock(int directory, const std::string& path) {
  shm::UniqueFd lock(
      ::openat(directory, kLockName, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!lock.valid()) {
    return Failure("'" + path + "/lock' cannot be opened: " + std::strerror(errno));
  }
  struct flock whole{};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(lock.get(), F_OFD_SETLK, &whole) != 0) {
    if (errno != EAGAIN && errno != EACCES) {
      return Failure("'" + path + "/lock' cannot be locked: " + std::strerror(errno));
    }
    return Failure(named(path) + " is in use by another memfaild" + owner_of(lock.get()) +
                   "; give each its own directory");
  }
  // Only for the words above; on a full disk they lack the pid.
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) == 0) (void)!::pwrite(lock.get(), pid.data(), pid.size(), 0);
  return lock;
}

std::expected<void, std::string> check_geometry(const JournalGeometry& geometry) {
  if (geometry.files < kMinFiles || geometry.files > kMaxFiles) {
    return Failure("--journal-files " + std::to_string(geometry.files) + " is not from " +
                   std::to_string(kMinFiles) + " to " + std::to_string(kMaxFiles));
  }
  if (geometry.file_size < kMinFileSize || geometry.file_size > kMaxFileSize ||
      geometry.file_size % kFileBlock != 0) {
    return Failure("--journal-size " + std::to_string(geometry.file_size) +
                   " is not a multiple of " + std::to_string(kFileBlock) + " from " +
                   std::to_string(kMinFileSize) + " to " + std::to_string(kMaxFileSize));
  }
  return {};
}

std::expected<std::uint64_t, std::string> add_file_to_read(int directory, const std::string& path,
                                                           JournalDirectory& into) {
  const std::string name = journal_file_name(static_cast<std::uint32_t>(into.files.size()));
  shm::UniqueFd file(
      ::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat about{};
  if (!file.valid() || ::fstat(file.get(), &about) != 0) {
    return Failure("'" + path + "/" + name + "' cannot be opened: " + std::strerror(errno));
  }
  if (!S_ISREG(about.st_mode)) return Failure("'" + path + "/" + name + "' is not a regular file");
  into.files.push_back(std::move(file));
  return static_cast<std::uint64_t>(about.st_size);
}

}  // namespace

std::string journal_file_name(std::uint32_t index) {
  return std::string(kFilePrefix) + std::to_string(index);
}

std::expected<JournalDirectory, std::string> open_journal_directory(
    const std::string& path, const JournalGeometry& geometry) {
  if (const auto good = check_geometry(geometry); !good) return Failure(good.error());
  const auto directory = open_directory(path, "make it: install -d -m 0700 '" + path + "'");
  if (!directory) return Failure(directory.error());
  if (const auto ours = check_owner(directory->get(), path); !ours) return Failure(ours.error());
  // Before the lock is made: a directory that is not for us is left as it was.
  if (const auto alone = check_listing(directory->get(), path, geometry); !alone) {
    return Failure(alone.error());
  }
  auto lock = take_lock(directory->get(), path);
  if (!lock) return Failure(lock.error());
  auto files = preallocate_files(directory->get(), path, geometry);
  if (!files) return Failure(files.error());
  return JournalDirectory{std::move(*lock), std::move(*files), geometry};
}

std::expected<JournalDirectory, std::string> open_journal_to_read(const std::string& path) {
  const auto directory = open_directory(path, "give that of memfaild's --journal");
  if (!directory) return Failure(directory.error());
  const auto listing = list(directory->get(), path);
  if (!listing) return Failure(listing.error());
  if (listing->files == 0) return Failure("'" + path + "' holds no journal");
  JournalDirectory found;
  found.geometry = {listing->files, 0};
  while (found.files.size() < listing->files) {
    const auto size = add_file_to_read(directory->get(), path, found);
    if (!size) return Failure(size.error());
    // One that is shorter was not filled yet, and holds nothing.
    found.geometry.file_size = std::max(found.geometry.file_size, *size);
  }
  return found;
}

}  // namespace memfail::journal
