// SPDX-License-Identifier: BSD-3-Clause
//
// `--journal DIR`: is it ours, is it ours alone, and is there room? Everything
// that can be refused is refused here, before memfaild listens, with one line
// that names the thing, its value and what to do.
//
// In the directory are a file `lock` and the files journal.0 … journal.N-1,
// each filled with zeros to its full size, so that no later write has to find
// room. The zeros go out in 4 KiB writes: after one large write each later
// small one costs many times as much, and after fallocate() each sync has
// metadata to write as well.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "shm/unique_fd.h"

namespace memfail::journal {

struct JournalGeometry {
  std::uint32_t files = 8;
  std::uint64_t file_size = std::uint64_t{4} << 20;

  [[nodiscard]] std::uint64_t size() const { return files * file_size; }
};

inline constexpr std::uint32_t kMinFiles = 3;  // one to read, one to write, one to begin
inline constexpr std::uint32_t kMaxFiles = 1024;
inline constexpr std::uint64_t kFileBlock = 4096;
inline constexpr std::uint64_t kMinFileSize = std::uint64_t{64} << 10;
inline constexpr std::uint64_t kMaxFileSize = std::uint64_t{1} << 30;

struct JournalDirectory {
  shm::UniqueFd lock;  // held for as long as it is open: the owner is this process alone
  std::vector<shm::UniqueFd> files;
  JournalGeometry geometry;
};

// Blocks while the disk does; one thread; the error is a line for a person.
std::expected<JournalDirectory, std::string> open_journal_directory(
    const std::string& path, const JournalGeometry& geometry);

// What is there, to read only: no lock is taken and nothing is made. For a
// journal in use as well as one that nobody owns.
std::expected<JournalDirectory, std::string> open_journal_to_read(const std::string& path);

// "journal.3"
std::string journal_file_name(std::uint32_t index);

}  // namespace memfail::journal
