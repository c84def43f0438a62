// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/classify.h"

#include "sidecar/decision/severity.h"

namespace memfail::decision {
namespace {

constexpr std::uint16_t kAddressSpaces = 2;  // KVM on x86: normal and SMM
constexpr std::uint8_t kLeastLsb = 12;
constexpr std::uint8_t kMostLsb = 30;

std::uint64_t page_of(std::uint64_t address) { return address & ~(kPageSize - 1); }

Classification no_address() {
  Classification result;
  result.address = AddressClass::kNoAddress;
  return result;
}

// Outside the regions only the signal knows the page's size; what is out of
// range (0: unknown) counts as one small page.
Classification vmm_memory(std::uint64_t hva, std::uint8_t lsb) {
  Classification result;
  result.address = AddressClass::kVmmMemory;
  result.hva = hva;
  result.lost_size = lsb >= kLeastLsb && lsb <= kMostLsb ? std::uint64_t{1} << lsb : kPageSize;
  return result;
}

Classification classify_hva(const RegionMap& map, const ReportedAddress& report, LookupRule rule) {
  const auto found = map.find_hva(report.hva, rule);
  if (!found) {
    return vmm_memory(report.hva, report.lsb);
  }
  const Region& region = map[*found];
  Classification result;
  result.hva = report.hva;
  result.region = *found;
  // Not from lsb: KVM's own fault on a poisoned hugetlb page says 12, and si_addr
  // need not be aligned to it. A hugetlb page is lost as a whole.
  result.lost_size = region.page_size;
  if (!is_mapped(region, rule)) {
    result.address = AddressClass::kGuestRamUnmapped;
    return result;
  }
  result.address = AddressClass::kGuestRam;
  result.gpa = region.gpa + page_of(report.hva - region.hva);
  return result;
}

std::optional<std::uint32_t> find_any_space(const RegionMap& map, std::uint64_t gpa) {
  for (std::uint16_t space = 0; space < kAddressSpaces; ++space) {
    if (const auto found = map.find_gpa(space, gpa)) {
      return found;
    }
  }
  return std::nullopt;
}

Classification classify_gpa(const RegionMap& map, std::uint64_t gpa) {
  const auto found = find_any_space(map, gpa);
  if (!found) {
    return vmm_memory(wire::kNoAddress, 0);
  }
  const Region& region = map[*found];
  Classification result;
  result.address = AddressClass::kGuestRam;
  result.gpa = page_of(gpa);
  result.region = *found;
  result.lost_size = region.page_size;
  if ((region.flags & kRegionNoHva) == 0) {
    result.hva = region.hva + (gpa - region.gpa);
  }
  return result;
}

}  // namespace

ReportedAddress reported_address(const wire::ReportLine& report) {
  ReportedAddress result;
  result.kind = report.kind();
  result.has_address = report.hva() != 0 && report.code() != kCodeKernel;
  result.hva = report.hva();
  result.gpa = report.gpa();
  result.lsb = report.lsb();
  return result;
}

Classification classify(const RegionMap& map, const ReportedAddress& report, LookupRule rule) {
  switch (report.kind) {
    case wire::ReportKind::memory_fault_exit:
    case wire::ReportKind::mmio_exit:
      return classify_gpa(map, report.gpa);
    case wire::ReportKind::injection:  // its address is the operator's: nothing is lost there
      return no_address();
    case wire::ReportKind::sigbus:
    case wire::ReportKind::remembered:
    case wire::ReportKind::none:
      break;
  }
  return report.has_address ? classify_hva(map, report, rule) : no_address();
}

}  // namespace memfail::decision
