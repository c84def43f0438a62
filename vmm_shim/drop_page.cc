// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/drop_page.h"

#include <sys/mman.h>

#include <cerrno>

#include "shm/mapping.h"
#include "shm/raw_syscall.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

namespace memfail::shim {
namespace {

void* pointer(std::uint64_t hva) { return reinterpret_cast<void*>(hva); }

int advise(void* at, std::uint64_t size, int advice) {
  return ::madvise(at, size, advice) == 0 ? 0 : errno;
}

// MADV_REMOVE refuses a locked mapping, and to unlock it for the moment might be for
// good: the right to lock it may be gone. A second mapping of the same pages (which
// mremap() makes of a shared one, asked to grow it from nothing) inherits the lock and
// can lose it.
int punch_through_second_mapping(std::uint64_t hva, std::uint64_t size) {
  void* second = ::mremap(pointer(hva), 0, size, MREMAP_MAYMOVE);
  if (second == MAP_FAILED) return errno;
  const shm::Mapping owned(second, size);
  // Not munlock(): sanitizers put one in its place that does nothing.
  const long unlocked =
      shm::raw_syscall(SYS_munlock, shm::as_argument(second), static_cast<long>(size));
  if (unlocked != 0) return static_cast<int>(-unlocked);
  return advise(second, size, MADV_REMOVE);
}

}  // namespace

int drop_pages(std::uint64_t hva, std::uint64_t size) {
  const int error = advise(pointer(hva), size, MADV_DONTNEED);
  return error == EINVAL ? advise(pointer(hva), size, MADV_DONTNEED_LOCKED) : error;
}

int punch_hole(std::uint64_t hva, std::uint64_t size) {
  const int error = advise(pointer(hva), size, MADV_REMOVE);
  return error == EINVAL ? punch_through_second_mapping(hva, size) : error;
}

int probe_pages(std::uint64_t hva, std::uint64_t size) {
  int error = 0;
  do {
    error = advise(pointer(hva), size, MADV_POPULATE_READ);
  } while (error == EINTR);
  return error;
}

}  // namespace memfail::shim
