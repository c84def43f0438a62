// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/machine_check.h"

#include "sidecar/decision/region_map.h"

namespace memfail::decision {
namespace {

constexpr std::uint64_t kStatusPage = kStatusVal | kStatusEn | kStatusMiscv | kStatusAddrv;
constexpr std::uint64_t kStatusSignaled = kStatusPage | kStatusUc | kStatusS;

// MCA error codes (SDM vol. 3, 17.9.2): 0x134 data load, level 0; 0xC0 memory
// scrubbing, channel 0.
constexpr std::uint64_t kIntelAr = kStatusSignaled | kStatusAr | 0x134;
constexpr std::uint64_t kIntelAo = kStatusSignaled | 0xC0;
constexpr std::uint64_t kAmdAr = kStatusPage | kStatusUc | kStatusPoison;
constexpr std::uint64_t kAmdAo = kStatusPage | kStatusDeferred | kStatusPoison;
constexpr std::uint64_t kUcna = kStatusPage | kStatusUc | 0xC0;
constexpr std::uint64_t kSibling = kStatusVal | kStatusUc;

constexpr std::uint64_t kMcgAo = kMcgStatusMcip | kMcgStatusRipv;
constexpr std::uint64_t kMcgAr = kMcgAo | kMcgStatusEipv;

// All records that name a page, but for bank and address. MCG_STATUS of an AMD
// AO is not written: the record is not uncorrected.
struct Template {
  std::uint64_t status;
  std::uint64_t mcg_status;
};
constexpr Template kPageTemplates[] = {
    {kIntelAr, kMcgAr}, {kIntelAr, kMcgAr | kMcgStatusLmce},
    {kIntelAo, kMcgAo}, {kIntelAo, kMcgAo | kMcgStatusLmce},
    {kAmdAr, kMcgAr},   {kAmdAo, kMcgAo},
    {kUcna, 0},
};

std::uint64_t status_for(wire::Vendor vendor, bool action_required) {
  if (vendor == wire::Vendor::amd) {
    return action_required ? kAmdAr : kAmdAo;
  }
  return action_required ? kIntelAr : kIntelAo;
}

bool same(const MachineCheck& a, const MachineCheck& b) {
  return a.status == b.status && a.address == b.address && a.misc == b.misc &&
         a.mcg_status == b.mcg_status && a.bank == b.bank;
}

bool names_a_page(const MachineCheck& record) {
  return record.misc == kMiscPage && record.address % kPageSize == 0 && record.bank < kMaxBanks;
}

struct FamilyModel {
  std::uint32_t family;
  std::uint32_t model;
};

// SDM vol. 2, CPUID leaf 1: the extended family counts for family 15 only, the
// extended model for 6 and 15.
FamilyModel family_model(std::uint32_t eax) {
  FamilyModel result{(eax >> 8) & 0xF, (eax >> 4) & 0xF};
  if (result.family == 6 || result.family == 15) {
    result.model |= (eax >> 12) & 0xF0;
  }
  if (result.family == 15) {
    result.family += (eax >> 20) & 0xFF;
  }
  return result;
}

}  // namespace

MachineCheck page_record(wire::Vendor vendor, Severity severity, bool lmce, std::uint8_t bank,
                         std::uint64_t gpa) {
  if (severity == Severity::kNone) {
    return {};
  }
  const bool action_required = severity == Severity::kActionRequired;
  MachineCheck record;
  record.status = status_for(vendor, action_required);
  record.mcg_status = action_required ? kMcgAr : kMcgAo;
  if (lmce && vendor != wire::Vendor::amd) {
    record.mcg_status |= kMcgStatusLmce;
  }
  record.address = gpa;
  record.misc = kMiscPage;
  record.bank = bank;
  return record;
}

MachineCheck sibling_record(std::uint8_t bank) { return {kSibling, 0, 0, kMcgAo, bank}; }

MachineCheck ucna_record(std::uint8_t bank, std::uint64_t gpa) {
  return {kUcna, gpa, kMiscPage, 0, bank};
}

bool broadcasts(const GuestProfile& guest) {
  if (guest.vendor == wire::Vendor::amd) {
    return false;
  }
  const FamilyModel cpu = family_model(guest.cpuid_1_eax);
  return cpu.family > 6 || (cpu.family == 6 && cpu.model >= 14);
}

bool is_template(const MachineCheck& record) {
  if (same(record, sibling_record())) {
    return true;
  }
  if (!names_a_page(record)) {
    return false;
  }
  for (const Template& known : kPageTemplates) {
    if (record.status == known.status && record.mcg_status == known.mcg_status) {
      return true;
    }
  }
  return false;
}

}  // namespace memfail::decision
