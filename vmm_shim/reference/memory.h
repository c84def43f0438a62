// SPDX-License-Identifier: BSD-3-Clause
//
// Guest RAM: one mapping of this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>

#include "vmm_shim/reference/unique_fd.h"

namespace memfail::reference {

enum class RamKind { kAnonymous, kMemfd, kHugetlb };

class Memory {
 public:
  // Every page is touched, so that there is something that can break. Fails with
  // one line, for example when the pool of huge pages is empty.
  static std::expected<Memory, std::string> make(RamKind kind, std::size_t size);

  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&&) = delete;
  ~Memory();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::uint64_t hva() const { return reinterpret_cast<std::uint64_t>(data_); }
  std::size_t page_size() const;

 private:
  Memory(RamKind kind, UniqueFd fd, std::byte* data, std::size_t size);

  RamKind kind_;
  UniqueFd fd_;  // memfd only
  std::byte* data_;
  std::size_t size_;
};

}  // namespace memfail::reference
