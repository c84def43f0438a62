// SPDX-License-Identifier: BSD-3-Clause
//
// The list of broken pages goes with the VM. On the destination the memory is whole,
// and must not be: a page of zeros where the guest had data is silent corruption.
#include <cerrno>
#include <cstring>

#include "memfail/shim.h"
#include "vmm_shim/failure.h"
#include "vmm_shim/poison_again.h"
#include "vmm_shim/poison_blob.h"
#include "vmm_shim/regions.h"
#include "vmm_shim/wake.h"

namespace memfail::shim {
namespace {

int fail_blob(memfail_error* error, const shm::Error& why) {
  return fail(error, -EBADMSG, "poison list: %s %s (value %llu, limit %llu)", why.field, why.what,
              static_cast<unsigned long long>(why.value),
              static_cast<unsigned long long>(why.limit));
}

// Where the guest has that memory now: its regions may have moved since it broke.
std::uint64_t gpa_now(const decision::Region& region, std::uint64_t hva) {
  return region.gpa == wire::kNoAddress ? wire::kNoAddress : region.gpa + (hva - region.hva);
}

// Fills shim.records; how many. -EADDRNOTAVAIL: a page that the guest cannot see at
// the moment has no address to go by, and the destination would not know of it.
int collect(memfail_shim& shim) {
  int count = 0;
  PoisonedPage page;
  for (std::uint32_t i = 0; shim.poison.page(i, page); ++i) {
    if (page.repair == wire::Repair::repaired) continue;
    const auto region = region_at(shim, page.hva);
    // No RAM any more: nobody can meet it. Or not from its start on.
    if (!region && !region_at(shim, page.hva + page.size - 1)) continue;
    const std::uint64_t gpa = region ? gpa_now(*region, page.hva) : wire::kNoAddress;
    if (gpa == wire::kNoAddress && page.drill) continue;
    if (gpa == wire::kNoAddress) return -EADDRNOTAVAIL;
    const std::uint32_t told = page.told ? kPoisonTold : 0;
    const std::uint32_t drill = page.drill ? kPoisonDrill : 0;
    shim.records[count++] = {gpa, page.size, told | drill};
  }
  return count;
}

struct Place {
  decision::Region region;
  PoisonedPage page;
};

// Where a record's page lies here. False: not, or not all of it, in guest RAM.
bool find_place(memfail_shim& shim, const PoisonRecord& record, Place& place) {
  const auto region = region_of_gpa(shim, record.gpa);
  if (!region || (region->flags & decision::kRegionNoHva) != 0) return false;
  if (record.size > region->size || record.gpa - region->gpa > region->size - record.size) {
    return false;
  }
  place.region = *region;
  place.page = {};
  place.page.gpa = record.gpa;
  place.page.hva = region->hva + (record.gpa - region->gpa);
  place.page.size = record.size;
  place.page.told = (record.flags & kPoisonTold) != 0;
  place.page.drill = (record.flags & kPoisonDrill) != 0;
  place.page.to_tell = !place.page.told && !place.page.drill;
  return true;
}

// 0, or negative errno where the guest could meet a clean page that it must not.
int take_over(memfail_shim& shim, const Place& place, memfail_error* error) {
  if (!place.page.drill) {
    const PageOutcome outcome = poison_again(place.region, place.page.hva, place.page.size);
    // A guest that was told has left the page alone; one that was not may use it. Of a huge
    // page it was told one small page, and uses the rest.
    const bool left_alone = place.page.told && place.page.size <= decision::kPageSize;
    if (!outcome.done() && !left_alone) {
      char text[sizeof memfail_error::text];
      format_page_outcome(text, sizeof text, outcome, place.page.hva, place.page.size);
      return fail(error, -EOPNOTSUPP, "guest page 0x%llx cannot be made poisoned here: %.180s",
                  static_cast<unsigned long long>(place.page.gpa), text);
    }
  }
  // One that is known here as well, or broke meanwhile, stays as it is known here.
  if (shim.poison.add(place.page) || shim.poison.is_broken(place.page.hva)) return 0;
  return fail(error, -ENOSPC, "poison list: no room for guest page 0x%llx",
              static_cast<unsigned long long>(place.page.gpa));
}

}  // namespace
}  // namespace memfail::shim

namespace shim_ns = memfail::shim;

long memfail_poison_export(memfail_shim* shim, void* buffer, size_t size) {
  if (shim->poison.left_out() != 0) return -EOVERFLOW;
  const int collected = shim_ns::collect(*shim);
  if (collected < 0) return collected;
  const auto count = static_cast<std::uint32_t>(collected);
  const std::size_t needed = shim_ns::poison_blob_size(count);
  if (size < needed) return static_cast<long>(needed);
  const std::span<std::byte> blob(static_cast<std::byte*>(buffer), size);
  const auto written = shim_ns::write_poison_blob({shim->records, count}, blob);
  return written ? static_cast<long>(*written) : -EINVAL;
}

int memfail_poison_import(memfail_shim* shim, const void* blob, size_t size, memfail_error* error) {
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(blob), size);
  const auto count = shim_ns::read_poison_blob(bytes, {shim->records, shim->poison.capacity()});
  if (!count) return shim_ns::fail_blob(error, count.error());
  if (shim->poison.size() + *count > shim->poison.capacity()) {
    return shim_ns::fail(
        error, -ENOSPC, "poison list: %u pages are too many; there is room for %llu", *count,
        static_cast<unsigned long long>(shim->poison.capacity() - shim->poison.size()));
  }
  shim_ns::Place place;
  for (std::uint32_t i = 0; i < *count; ++i) {
    if (shim_ns::find_place(*shim, shim->records[i], place)) continue;
    return shim_ns::fail(error, -ERANGE, "poison list: page 0x%llx of 0x%llx bytes is not in RAM",
                         static_cast<unsigned long long>(shim->records[i].gpa),
                         static_cast<unsigned long long>(shim->records[i].size));
  }
  for (std::uint32_t i = 0; i < *count; ++i) {
    shim_ns::find_place(*shim, shim->records[i], place);
    if (const int bad = shim_ns::take_over(*shim, place, error); bad != 0) return bad;
  }
  shim->say_pages.store(1, std::memory_order_release);
  shim_ns::wake_dispatch(*shim);
  return static_cast<int>(*count);
}
