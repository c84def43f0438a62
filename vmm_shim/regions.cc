// SPDX-License-Identifier: BSD-3-Clause
//
// The VMM's memory transactions. Two tables: commit builds the one that is not in
// use and swaps, so a refused transaction changes nothing.
#include "vmm_shim/regions.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sidecar/decision/classify.h"
#include "vmm_shim/failure.h"
#include "vmm_shim/session.h"

namespace memfail::shim {
namespace {

StoredRegion* find_slot(RegionList& list, std::uint32_t slot) {
  StoredRegion* end = list.items + list.count;
  StoredRegion* at = std::lower_bound(
      list.items, end, slot,
      [](const StoredRegion& item, std::uint32_t value) { return item.region.slot < value; });
  return at;
}

bool holds_slot(const RegionList& list, const StoredRegion* at, std::uint32_t slot) {
  return at != list.items + list.count && at->region.slot == slot;
}

StoredRegion store(const memfail_region& region, std::uint64_t stamp) {
  StoredRegion stored;
  stored.region = {region.gpa,  region.size,          region.hva,  region.page_size,
                   region.slot, region.address_space, region.flags};
  stored.stamp = stamp;
  if (region.name != nullptr) std::strncpy(stored.name.data(), region.name, kNameSize - 1);
  return stored;
}

int errno_of(decision::RegionErrorCode code) {
  switch (code) {
    case decision::RegionErrorCode::kOverlap:
    case decision::RegionErrorCode::kDuplicateSlot:
      return -EEXIST;
    case decision::RegionErrorCode::kTooMany:
      return -ENOSPC;
    default:
      return -EINVAL;
  }
}

}  // namespace

decision::Classification locate(memfail_shim& shim, const wire::ReportLine& report) {
  const decision::LookupRule rule = decision::lookup_rule(shim.rules_now().policy);
  const shm::Locked lock(shim.regions.mutex);
  return decision::classify(shim.regions.map, decision::reported_address(report), rule);
}

bool is_backed_by(memfail_shim& shim, std::uint64_t gpa, std::uint64_t hva) {
  const shm::Locked lock(shim.regions.mutex);
  const auto index = shim.regions.map.find_gpa(0, gpa);
  if (!index) return false;
  const decision::Region& region = shim.regions.map[*index];
  if ((region.flags & decision::kRegionNoHva) != 0) return false;
  const std::uint64_t page = ~(decision::kPageSize - 1);
  return ((region.hva + (gpa - region.gpa)) & page) == (hva & page);
}

std::optional<decision::Region> region_at(memfail_shim& shim, std::uint64_t hva) {
  const decision::LookupRule rule = decision::lookup_rule(shim.rules_now().policy);
  const shm::Locked lock(shim.regions.mutex);
  const auto index = shim.regions.map.find_hva(hva, rule);
  return index ? std::optional(shim.regions.map[*index]) : std::nullopt;
}

std::optional<decision::Region> region_of_gpa(memfail_shim& shim, std::uint64_t gpa) {
  const shm::Locked lock(shim.regions.mutex);
  const auto index = shim.regions.map.find_gpa(0, gpa);
  return index ? std::optional(shim.regions.map[*index]) : std::nullopt;
}

BackingPage backing_page(memfail_shim& shim, std::uint64_t gpa) {
  const shm::Locked lock(shim.regions.mutex);
  const auto index = shim.regions.map.find_gpa(0, gpa);
  if (!index) return {};
  const decision::Region& region = shim.regions.map[*index];
  if ((region.flags & decision::kRegionNoHva) != 0) return {};
  const std::uint64_t hva = region.hva + (gpa - region.gpa);
  return {hva & ~(decision::kPageSize - 1), region.page_size};
}

}  // namespace memfail::shim

namespace decision = memfail::decision;
using memfail::shim::fail;
using memfail::shim::RegionList;
using memfail::shim::Regions;
using memfail::shim::StoredRegion;

constexpr std::uint16_t kKnownFlags = MEMFAIL_REGION_READ_ONLY | MEMFAIL_REGION_PRIVATE_FILE |
                                      MEMFAIL_REGION_PERSISTENT | MEMFAIL_REGION_PINNED |
                                      MEMFAIL_REGION_NO_HVA;

void memfail_regions_begin(memfail_shim* shim) {
  Regions& table = shim->regions;
  std::copy_n(table.current.items, table.current.count, table.staged.items);
  table.staged.count = table.current.count;
}

int memfail_regions_add(memfail_shim* shim, const memfail_region* region, memfail_error* error) {
  Regions& table = shim->regions;
  RegionList& list = table.staged;
  memfail_region copy{};
  std::memcpy(&copy, region, std::min<std::size_t>(region->struct_size, sizeof copy));
  if ((copy.flags & ~kKnownFlags) != 0) {
    return fail(error, -EINVAL, "region slot %u has flags 0x%x; known are 0x%x", copy.slot,
                static_cast<unsigned>(copy.flags), static_cast<unsigned>(kKnownFlags));
  }
  if (list.count == table.capacity) {
    return fail(error, -ENOSPC, "region slot %u is one too many; the limit is %u", copy.slot,
                table.capacity);
  }
  StoredRegion* at = memfail::shim::find_slot(list, copy.slot);
  if (memfail::shim::holds_slot(list, at, copy.slot)) {
    return fail(error, -EEXIST, "region slot %u is in use", copy.slot);
  }
  std::copy_backward(at, list.items + list.count, list.items + list.count + 1);
  *at = memfail::shim::store(copy, table.next_stamp++);
  ++list.count;
  return 0;
}

int memfail_regions_remove(memfail_shim* shim, std::uint32_t slot, memfail_error* error) {
  RegionList& list = shim->regions.staged;
  StoredRegion* at = memfail::shim::find_slot(list, slot);
  if (!memfail::shim::holds_slot(list, at, slot)) {
    return fail(error, -ENOENT, "region slot %u is not there", slot);
  }
  std::copy(at + 1, list.items + list.count, at);
  --list.count;
  return 0;
}

int memfail_regions_commit(memfail_shim* shim, memfail_error* error) {
  Regions& table = shim->regions;
  const std::span<decision::Region> flat(table.spare_flat, table.staged.count);
  for (std::uint32_t i = 0; i < table.staged.count; ++i) flat[i] = table.staged.items[i].region;
  auto map = decision::RegionMap::build(flat, table.spare_scratch);
  if (!map) {
    char text[sizeof memfail_error::text];
    decision::format_region_error(text, sizeof text, map.error());
    return fail(error, memfail::shim::errno_of(map.error().code), "%s", text);
  }
  {
    const memfail::shm::Locked lock(table.mutex);
    std::swap(table.flat, table.spare_flat);
    std::swap(table.scratch, table.spare_scratch);
    std::swap(table.current, table.staged);
    table.map = *map;
    table.generation.fetch_add(1, std::memory_order_acq_rel);
  }
  memfail::shim::push_regions(*shim);
  return 0;
}
