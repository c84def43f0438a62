// SPDX-License-Identifier: BSD-3-Clause
//
// A guest reset: what was asked for before it is stale, and the guest's broken pages
// are replaced by clean ones. Never earlier: a page of zeros under a guest that was not
// told is silent corruption.
#include "vmm_shim/guest_reset.h"
#include "memfail/shim.h"
#include "vmm_shim/regions.h"
#include "vmm_shim/repair.h"
#include "vmm_shim/wake.h"

namespace memfail::shim {
namespace {

wire::Repair result_of(PageResult result) {
  switch (result) {
    case PageResult::kDone:
      return wire::Repair::repaired;
    case PageResult::kPinned:
      return wire::Repair::pinned;
    case PageResult::kPersistent:
      return wire::Repair::persistent;
    case PageResult::kReadOnly:
      return wire::Repair::read_only;
    case PageResult::kPrivateFile:
      return wire::Repair::private_file;
    case PageResult::kNoHva:
      return wire::Repair::no_hva;
    case PageResult::kStillPoisoned:
      return wire::Repair::still_poisoned;
    case PageResult::kPoolEmpty:
      return wire::Repair::pool_empty;
    case PageResult::kNoPage:
      return wire::Repair::no_page;
    default:
      return wire::Repair::failed;
  }
}

wire::Repair repair_by_vmm(const memfail_shim& shim, const PoisonedPage& page) {
  const memfail_config& config = shim.config;
  const int bad = config.ops.repair(config.opaque, page.hva, page.gpa, page.size);
  return bad == 0 ? wire::Repair::repaired : wire::Repair::failed;
}

wire::Repair repair(memfail_shim& shim, const PoisonedPage& page) {
  if (page.drill) return wire::Repair::repaired;  // the memory is fine
  if (shim.config.ops.repair != nullptr) return repair_by_vmm(shim, page);
  const auto region = region_at(shim, page.hva);
  if (!region) return wire::Repair::repaired;  // unmapped since: nobody can meet it
  return result_of(repair_page(*region, page.hva, page.size).result);
}

}  // namespace

// From the end: the dispatching thread, which may take pages out meanwhile, puts the
// last one in such a place, and that was seen already.
std::uint32_t repair_all(memfail_shim& shim) {
  std::uint32_t left = 0;
  PoisonedPage page;
  for (auto i = static_cast<std::uint32_t>(shim.poison.size()); i-- > 0;) {
    if (!shim.poison.page(i, page)) continue;
    if (page.repair == wire::Repair::repaired) continue;  // before, and not said yet
    const wire::Repair result = repair(shim, page);
    shim.poison.note_repair(page.hva, result);
    left += result == wire::Repair::repaired ? 0 : 1;
  }
  return left;
}

}  // namespace memfail::shim

int memfail_guest_reset(memfail_shim* shim) {
  shim->guest_epoch.fetch_add(1, std::memory_order_acq_rel);
  shim->poison.forget_told();
  const std::uint32_t left = memfail::shim::repair_all(*shim);
  memfail::shim::wake_dispatch(*shim);
  return static_cast<int>(left);
}
