// SPDX-License-Identifier: BSD-3-Clause
//
// Any regions, any address: what the map answers is what a plain search answers.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>
#include <optional>
#include <vector>

#include "sidecar/decision/region_map.h"

namespace {

using memfail::decision::LookupRule;
using memfail::decision::Region;
using memfail::decision::RegionMap;

Region any_region(FuzzedDataProvider& data, std::uint32_t slot) {
  Region region;
  // Small numbers of pages make neighbours, overlaps and aliases likely.
  const auto pages = [&](std::uint64_t limit) {
    return data.ConsumeIntegralInRange<std::uint64_t>(0, limit) * 4096;
  };
  region.gpa = data.ConsumeProbability<float>() < 0.1F ? memfail::wire::kNoAddress : pages(64);
  region.size = pages(16);
  region.hva = 0x7f0000000000ULL + pages(64);
  if (data.ConsumeBool()) region.size = data.ConsumeIntegral<std::uint64_t>();
  region.slot = data.ConsumeProbability<float>() < 0.9F ? slot : 0;
  region.address_space = data.ConsumeIntegralInRange<std::uint16_t>(0, 1);
  region.flags = data.ConsumeIntegralInRange<std::uint16_t>(0, 1);
  return region;
}

bool holds(const Region& region, std::uint64_t hva) {
  return hva >= region.hva && hva - region.hva < region.size;
}

void check_lookup(const RegionMap& map, const std::vector<Region>& regions, std::uint64_t hva) {
  bool any = false;
  for (const Region& region : regions) any = any || holds(region, hva);
  for (const LookupRule rule : {LookupRule::kSlotOrder, LookupRule::kPreferWritable}) {
    const auto found = map.find_hva(hva, rule);
    if (found.has_value() != any) std::abort();
    if (found && !holds(map[*found], hva)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider data(bytes, size);
  std::vector<Region> regions;
  const int count = data.ConsumeIntegralInRange<int>(0, 40);
  for (int i = 0; i < count; ++i) regions.push_back(any_region(data, static_cast<unsigned>(i)));
  std::vector<std::uint32_t> by_hva(regions.size());
  std::vector<std::uint64_t> hva_end(regions.size());
  std::vector<std::uint32_t> by_gpa(regions.size());
  const auto map = RegionMap::build(regions, {by_hva, hva_end, by_gpa});
  if (!map) {
    char text[200];
    if (memfail::decision::format_region_error(text, sizeof text, map.error()) <= 0) std::abort();
    return 0;
  }
  for (std::uint64_t page = 0; page < 96; ++page) {
    check_lookup(*map, regions, 0x7f0000000000ULL + page * 4096);
  }
  return 0;
}
