// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/shim/backed_ram.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "shm/raw_syscall.h"

namespace memfail::test {
namespace {

constexpr std::uint64_t kSmall = 4096;
constexpr std::uint64_t kHuge = std::uint64_t{2} << 20;
constexpr std::uint64_t kGigantic = std::uint64_t{1} << 30;
constexpr unsigned kHuge2M = 21U << 26;  // MAP_HUGE_2MB, MFD_HUGE_2MB
constexpr unsigned kHuge1G = 30U << 26;

struct KindWords {
  const char* name;
  int map_flags;        // without a descriptor
  bool file;
  unsigned memfd_flags;
};

// By RamKind.
constexpr auto kKinds = std::to_array<KindWords>({
    {"anonymous", MAP_PRIVATE | MAP_ANONYMOUS, false, 0},
    {"transparent huge", MAP_PRIVATE | MAP_ANONYMOUS, false, 0},
    {"shared anonymous", MAP_SHARED | MAP_ANONYMOUS, false, 0},
    {"memfd", MAP_SHARED, true, 0},
    {"file on tmpfs", MAP_SHARED, true, 0},
    {"anonymous hugetlb", MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | int{kHuge2M}, false, 0},
    {"shared anonymous hugetlb", MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | int{kHuge2M}, false, 0},
    {"memfd hugetlb", MAP_SHARED, true, MFD_HUGETLB | kHuge2M},
    {"anonymous 1 GiB hugetlb", MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | int{kHuge1G}, false, 0},
    {"memfd 1 GiB hugetlb", MAP_SHARED, true, MFD_HUGETLB | kHuge1G},
});

const KindWords& words(RamKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

unsigned char pattern(std::uint64_t page) { return static_cast<unsigned char>(0x41 + page % 64); }

std::unexpected<std::string> failed(const std::string& what) {
  return std::unexpected(what + ": " + std::strerror(errno));
}

shm::UniqueFd open_file(RamKind kind) {
  if (kind != RamKind::kTmpfsFile) {
    return shm::UniqueFd(
        ::memfd_create("guest ram", MFD_CLOEXEC | MFD_ALLOW_SEALING | words(kind).memfd_flags));
  }
  const std::string path = "/dev/shm/memfail test\n" + std::to_string(::getpid());
  shm::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (fd.valid()) ::unlink(path.c_str());
  return fd;
}

}  // namespace

const char* ram_kind_name(RamKind kind) { return words(kind).name; }

bool is_gigantic(RamKind kind) {
  return kind == RamKind::kAnonymousGigantic || kind == RamKind::kMemfdGigantic;
}

bool is_hugetlb(RamKind kind) {
  return kind == RamKind::kAnonymousHugetlb || kind == RamKind::kSharedAnonymousHugetlb ||
         kind == RamKind::kMemfdHugetlb || is_gigantic(kind);
}

std::expected<BackedRam, std::string> BackedRam::make(RamKind kind, std::uint64_t pages) {
  const bool transparent = kind == RamKind::kTransparentHuge;
  BackedRam ram;
  ram.page_size_ = is_gigantic(kind) ? kGigantic : is_hugetlb(kind) ? kHuge : kSmall;
  ram.pages_ = transparent ? kHuge / kSmall : pages;
  const std::uint64_t size = ram.pages_ * ram.page_size_;
  if (words(kind).file) {
    ram.fd_ = open_file(kind);
    if (!ram.fd_.valid() || ::ftruncate(ram.fd_.get(), static_cast<off_t>(size)) != 0) {
      return failed(std::string(ram_kind_name(kind)) + ", file");
    }
  }
  // Room to begin at a multiple of a huge page.
  const std::uint64_t mapped = transparent ? 2 * size : size;
  void* at =
      ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, words(kind).map_flags, ram.fd_.get(), 0);
  if (at == MAP_FAILED) return failed(std::string(ram_kind_name(kind)) + ", mmap");
  ram.mapping_ = shm::Mapping(at, mapped);
  if (transparent) {
    const auto address = reinterpret_cast<std::uint64_t>(at);
    ram.start_ = (kHuge - address % kHuge) % kHuge;
    if (::madvise(ram.mapping_.data() + ram.start_, size, MADV_HUGEPAGE) != 0) {
      return failed("MADV_HUGEPAGE");
    }
  }
  ram.fill();
  return ram;
}

std::expected<BackedRam, std::string> BackedRam::map_file(int fd, std::uint64_t page_size,
                                                          std::uint64_t pages, int flags) {
  BackedRam ram;
  ram.page_size_ = page_size;
  ram.pages_ = pages;
  ram.fd_ = shm::UniqueFd(::dup(fd));
  void* at = ::mmap(nullptr, pages * page_size, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (at == MAP_FAILED) return failed("mmap of a file");
  ram.mapping_ = shm::Mapping(at, pages * page_size);
  return ram;
}

std::expected<BackedRam, std::string> BackedRam::map_again() const {
  return map_file(fd_.get(), page_size_, pages_, MAP_SHARED);
}

// Not mlock(): sanitizers put one in its place that does nothing.
bool BackedRam::lock() const {
  return shm::raw_syscall(SYS_mlock, static_cast<long>(hva()),
                          static_cast<long>(pages_ * page_size_)) == 0;
}

std::uint64_t BackedRam::hva(std::uint64_t page) const {
  return reinterpret_cast<std::uint64_t>(mapping_.data()) + start_ + page * page_size_;
}

decision::Region BackedRam::region(std::uint16_t flags) const {
  return {0, pages_ * page_size_, hva(), page_size_, 0, 0, flags};
}

void BackedRam::fill() const {
  for (std::uint64_t page = 0; page < pages_; ++page) {
    std::memset(reinterpret_cast<void*>(hva(page)), pattern(page), page_size_);
  }
}

bool BackedRam::is_all(std::uint64_t page, unsigned char value) const {
  const auto* bytes = reinterpret_cast<const unsigned char*>(hva(page));
  // The first byte, and each byte as the one before it.
  return bytes[0] == value && std::memcmp(bytes, bytes + 1, page_size_ - 1) == 0;
}

bool BackedRam::has_pattern(std::uint64_t page) const { return is_all(page, pattern(page)); }
bool BackedRam::is_zero(std::uint64_t page) const { return is_all(page, 0); }

}  // namespace memfail::test
