// SPDX-License-Identifier: BSD-3-Clause
//
// Some pages of guest RAM as VMMs back them, with a pattern in each: for what changes
// pages in their place. Used by the unit tests and, with real poison, by the lab.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>

#include "shm/mapping.h"
#include "shm/unique_fd.h"
#include "sidecar/decision/region.h"

namespace memfail::test {

enum class RamKind : std::uint8_t {
  kAnonymous,
  kTransparentHuge,
  kSharedAnonymous,
  kMemfd,
  kTmpfsFile,  // deleted, with a space and a newline in its name
  kAnonymousHugetlb,
  kSharedAnonymousHugetlb,
  kMemfdHugetlb,
  kAnonymousGigantic,  // 1 GiB pages: not among kRamKinds, few machines have one to spare
  kMemfdGigantic,
};
inline constexpr auto kRamKinds = std::to_array<RamKind>(
    {RamKind::kAnonymous, RamKind::kTransparentHuge, RamKind::kSharedAnonymous, RamKind::kMemfd,
     RamKind::kTmpfsFile, RamKind::kAnonymousHugetlb, RamKind::kSharedAnonymousHugetlb,
     RamKind::kMemfdHugetlb});

const char* ram_kind_name(RamKind kind);
bool is_hugetlb(RamKind kind);
bool is_gigantic(RamKind kind);

class BackedRam {
 public:
  // `pages` of the kind's own size, each filled with its pattern. The error says what
  // this machine lacks.
  static std::expected<BackedRam, std::string> make(RamKind kind, std::uint64_t pages);
  // The pages of a file of the caller's, mapped as `flags` say; nothing is written.
  static std::expected<BackedRam, std::string> map_file(int fd, std::uint64_t page_size,
                                                        std::uint64_t pages, int flags);

  // The same pages a second time, elsewhere. For kinds with a file.
  [[nodiscard]] std::expected<BackedRam, std::string> map_again() const;
  // mlock(); false where it is not allowed.
  [[nodiscard]] bool lock() const;
  // Writes each page's pattern.
  void fill() const;

  [[nodiscard]] std::uint64_t pages() const { return pages_; }
  [[nodiscard]] std::uint64_t page_size() const { return page_size_; }
  [[nodiscard]] std::uint64_t hva(std::uint64_t page = 0) const;
  [[nodiscard]] decision::Region region(std::uint16_t flags = 0) const;
  [[nodiscard]] int fd() const { return fd_.get(); }

  // Loads each byte of the page: not of a poisoned one.
  [[nodiscard]] bool has_pattern(std::uint64_t page) const;
  [[nodiscard]] bool is_zero(std::uint64_t page) const;

 private:
  BackedRam() = default;
  [[nodiscard]] bool is_all(std::uint64_t page, unsigned char value) const;

  shm::Mapping mapping_;
  shm::UniqueFd fd_;
  std::uint64_t start_ = 0;  // in the mapping, aligned to a huge page where it matters
  std::uint64_t page_size_ = 0;
  std::uint64_t pages_ = 0;
};

}  // namespace memfail::test
