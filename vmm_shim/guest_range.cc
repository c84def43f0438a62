// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/guest_range.h"

#include <array>

namespace memfail::shim {
namespace {

struct Refusal {
  std::uint16_t flag;
  PageResult result;
};

constexpr auto kRefusals = std::to_array<Refusal>({
    {decision::kRegionNoHva, PageResult::kNoHva},
    {decision::kRegionPersistent, PageResult::kPersistent},
    {decision::kRegionPrivateFile, PageResult::kPrivateFile},
    {decision::kRegionReadOnly, PageResult::kReadOnly},
    {decision::kRegionPinned, PageResult::kPinned},
});

}  // namespace

std::optional<PageOutcome> refuse_range(const decision::Region& region, std::uint64_t hva,
                                        std::uint64_t size) {
  for (const Refusal& refusal : kRefusals) {
    if ((region.flags & refusal.flag) != 0) return PageOutcome{refusal.result, 0};
  }
  const bool inside = size != 0 && size <= region.size && hva >= region.hva &&
                      hva - region.hva <= region.size - size;
  if (!inside) return PageOutcome{PageResult::kOutsideRegion, 0};
  return std::nullopt;
}

}  // namespace memfail::shim
