// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace memfail::reference {
namespace {

constexpr std::size_t kHugePageSize = 2u << 20;

int map_flags(RamKind kind) {
  switch (kind) {
    case RamKind::kMemfd:
      return MAP_SHARED;
    case RamKind::kHugetlb:
      return MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (21 << MAP_HUGE_SHIFT);
    case RamKind::kAnonymous:
      break;
  }
  return MAP_PRIVATE | MAP_ANONYMOUS;
}

std::string failure(RamKind kind, std::size_t size) {
  std::string text = std::to_string(size >> 20) + " MiB of RAM: " + std::strerror(errno);
  if (kind == RamKind::kHugetlb && errno == ENOMEM) {
    text = "the host has fewer than " + std::to_string(size / kHugePageSize) +
           " free 2 MiB huge pages (sysctl vm.nr_hugepages)";
  }
  return text;
}

}  // namespace

std::expected<Memory, std::string> Memory::make(RamKind kind, std::size_t size) {
  UniqueFd fd;
  if (kind == RamKind::kMemfd) {
    fd = UniqueFd(memfd_create("guest-ram", MFD_CLOEXEC));
    if (fd.get() < 0 || ftruncate(fd.get(), static_cast<off_t>(size)) < 0) {
      return std::unexpected(failure(kind, size));
    }
  }
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, map_flags(kind), fd.get(), 0);
  if (data == MAP_FAILED) return std::unexpected(failure(kind, size));
  Memory memory(kind, std::move(fd), static_cast<std::byte*>(data), size);
  // Transparent huge pages would be split by the first failure: say 4 KiB now.
  if (kind != RamKind::kHugetlb) madvise(data, size, MADV_NOHUGEPAGE);
  for (std::size_t at = 0; at < size; at += 4096) memory.data_[at] = std::byte{0};
  return memory;
}

Memory::Memory(RamKind kind, UniqueFd fd, std::byte* data, std::size_t size)
    : kind_(kind), fd_(std::move(fd)), data_(data), size_(size) {}

Memory::Memory(Memory&& other) noexcept
    : kind_(other.kind_),
      fd_(std::move(other.fd_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(other.size_) {}

Memory::~Memory() {
  if (data_) munmap(data_, size_);
}

std::size_t Memory::page_size() const { return kind_ == RamKind::kHugetlb ? kHugePageSize : 4096; }

}  // namespace memfail::reference
