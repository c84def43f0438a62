// SPDX-License-Identifier: BSD-3-Clause
//
// Everything that the journal does to its files once they are open: three
// calls. All of them may block for as long as the disk likes, so none is made
// by the loop thread. A test stands here to record writes and syncs, to fail
// them, and to cut the power between any two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include "shm/unique_fd.h"

namespace memfail::journal {

// Errors are errno values.
class JournalIo {
 public:
  virtual ~JournalIo() = default;

  // All of `bytes` at `offset` of file number `file`. After an error any part of
  // them may be there.
  virtual std::expected<void, int> write(std::uint32_t file, std::uint64_t offset,
                                         std::span<const std::byte> bytes) = 0;
  // All of `bytes`, or an error; a file that ends before them is EIO.
  virtual std::expected<void, int> read(std::uint32_t file, std::uint64_t offset,
                                        std::span<std::byte> bytes) = 0;
  // Returns once all that was written to `file` survives a power cut. After an
  // error nothing may be believed of what was written since the last success, and
  // asking again proves nothing: Linux marks the pages clean although they never
  // reached the disk.
  virtual std::expected<void, int> sync(std::uint32_t file) = 0;
};

// On descriptors that were opened, and the files filled to their size, before.
class DiskIo final : public JournalIo {
 public:
  explicit DiskIo(std::vector<shm::UniqueFd> files);

  std::expected<void, int> write(std::uint32_t file, std::uint64_t offset,
                                 std::span<const std::byte> bytes) override;
  std::expected<void, int> read(std::uint32_t file, std::uint64_t offset,
                                std::span<std::byte> bytes) override;
  std::expected<void, int> sync(std::uint32_t file) override;

 private:
  std::vector<shm::UniqueFd> files_;
};

}  // namespace memfail::journal
