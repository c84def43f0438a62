// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/repair.h"

#include <sys/mman.h>

#include <bit>
#include <cerrno>

#include "shm/mapping.h"
#include "sidecar/decision/region_map.h"
#include "vmm_shim/backing.h"
#include "vmm_shim/drop_page.h"
#include "vmm_shim/guest_range.h"

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif

namespace memfail::shim {
namespace {

struct Range {
  std::uint64_t hva = 0;
  std::uint64_t size = 0;
};

// Whole pages of the unit. A mapping begins and ends at a multiple of its own.
Range widen(std::uint64_t hva, std::uint64_t size, std::uint64_t unit) {
  const std::uint64_t start = hva & ~(unit - 1);
  const std::uint64_t end = (hva + size + unit - 1) & ~(unit - 1);
  return {start, end - start};
}

// The failure that is known before anything is lost: a hugetlb page dropped from an
// empty pool leaves an address on which the VMM dies. Taking a reservation and giving
// it back asks without taking a page; a limit of a cgroup or of a NUMA node shows only
// when the page is needed.
bool pool_is_empty(std::uint64_t page_size, std::uint64_t size) {
  const int page_flag = std::countr_zero(page_size) << MAP_HUGE_SHIFT;
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | page_flag, -1, 0);
  if (at == MAP_FAILED) return errno == ENOMEM;
  const shm::Mapping reservation(at, size);
  return false;
}

PageOutcome verify(const Range& range) {
  const int error = probe_pages(range.hva, range.size);
  switch (error) {
    case 0:
      return {PageResult::kDone, 0};
    case EHWPOISON:
      return {PageResult::kStillPoisoned, error};
    case EFAULT:
      return {PageResult::kNoPage, error};
    default:
      return {PageResult::kNotVerified, error};
  }
}

PageOutcome replace(const BackedRange& backed, const Range& range) {
  // The hole first: where it is refused, the page table still says what is broken.
  if (backed.mapping.shared) {
    if (const int error = punch_hole(range.hva, range.size); error != 0) {
      return {PageResult::kNotPunched, error};
    }
  }
  if (const int error = drop_everywhere(backed, range.hva, range.size); error != 0) {
    return {PageResult::kNotDropped, error};
  }
  return verify(range);
}

}  // namespace

PageOutcome repair_page(const decision::Region& region, std::uint64_t hva, std::uint64_t size) {
  if (const auto refusal = refuse_range(region, hva, size)) return *refusal;
  const auto backed = find_backing(hva, size);
  if (!backed) return backed.error();
  if (backed->backing == Backing::kPrivateFile) return {PageResult::kPrivateFile, 0};
  const bool anonymous = backed->backing == Backing::kAnonymous;
  const bool huge = !anonymous && region.page_size > decision::kPageSize;
  if (backed->backing == Backing::kAnonymousHugetlb && !huge) return {PageResult::kPartOfPage, 0};
  if (backed->mapping.shared && !is_memory_file(*backed)) return {PageResult::kNotMemory, 0};
  // Transparent huge pages are split when one of their pages breaks: 4 KiB are lost.
  const Range range = widen(hva, size, huge ? region.page_size : decision::kPageSize);
  if (huge && pool_is_empty(region.page_size, range.size)) {
    return {PageResult::kPoolEmpty, ENOMEM};
  }
  return replace(*backed, range);
}

}  // namespace memfail::shim
