// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/page_outcome.h"

#include <array>
#include <cinttypes>
#include <cstdio>

namespace memfail::shim {
namespace {

struct Words {
  const char* name;
  const char* sentence;
};

// By PageResult.
constexpr auto kWords = std::to_array<Words>({
    {"done", "done"},
    {"no-hva", "the region has no host address (guest_memfd), only its VMM can replace the page"},
    {"pinned", "the region is pinned, a device would go on with the old page"},
    {"persistent", "the region is persistent, its content is somebody's data"},
    {"read-only", "the region is read-only, the guest could not fill the page again"},
    {"private-file", "a private mapping of a file, a dropped page would show the file's content"},
    {"outside-region", "the range is empty or not inside the region"},
    {"part-of-page", "the range is only a part of the backing page"},
    {"maps-unreadable", "/proc/self/maps cannot be read"},
    {"not-mapped", "no single mapping holds the range"},
    {"not-memory",
     "the mapped file is neither a memfd nor on a tmpfs or hugetlbfs that this process sees"},
    {"hugetlb-pool-empty", "the hugetlb pool has no free page to put in its place"},
    {"kernel-too-old", "the kernel cannot mark pages as poisoned (UFFDIO_POISON, Linux 6.6)"},
    {"not-permitted", "this process may not use userfaultfd"},
    {"watched", "another userfaultfd watches the range, as postcopy does"},
    {"not-punched", "the kernel would not punch a hole into the mapped file"},
    {"not-dropped", "the kernel would not drop the page"},
    {"not-marked", "the kernel would not mark the page"},
    {"page-present", "a page came into its place before it could be marked"},
    {"still-poisoned", "the page is poisoned as before"},
    {"no-page", "the poison is gone, and the kernel has no page for the place"},
    {"not-poisoned", "the page is not poisoned after all"},
    {"not-verified", "the kernel would not say what is there now (MADV_POPULATE_READ)"},
});
static_assert(kWords.size() == static_cast<std::size_t>(PageResult::kNotVerified) + 1);

const Words& words(PageResult result) {
  const auto index = static_cast<std::size_t>(result);
  return index < kWords.size() ? kWords[index] : kWords.back();
}

}  // namespace

const char* page_result_name(PageResult result) { return words(result).name; }

int format_page_outcome(char* buffer, std::size_t capacity, const PageOutcome& outcome,
                        std::uint64_t hva, std::uint64_t size) {
  const Words& said = words(outcome.result);
  std::array<char, 16> cause{};
  if (outcome.number != 0) std::snprintf(cause.data(), cause.size(), ", errno %d", outcome.number);
  return std::snprintf(buffer, capacity, "page 0x%" PRIx64 ", %" PRIu64 " bytes: %s: %s%s", hva,
                       size, said.name, said.sentence, cause.data());
}

}  // namespace memfail::shim
