// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/cpu_model.h"

#include <cstring>
#include <span>

namespace memfail::reference {
namespace {

void set_vendor(kvm_cpuid_entry2& entry, const char (&name)[13]) {
  std::memcpy(&entry.ebx, name, 4);
  std::memcpy(&entry.edx, name + 4, 4);
  std::memcpy(&entry.ecx, name + 8, 4);
}

}  // namespace

CpuModel cpu_model(Vendor vendor) {
  if (vendor == Vendor::kAmd) return {vendor, 0x00A20F10, 3};  // family 0x19
  return {vendor, 0x000306C3, 0};                              // family 6, model 0x3C
}

void apply(const CpuModel& model, CpuidList& list) {
  const bool amd = model.vendor == Vendor::kAmd;
  for (kvm_cpuid_entry2& entry : std::span(list.entries).first(list.count)) {
    switch (entry.function) {
      case 0:
      case 0x80000000:
        amd ? set_vendor(entry, "AuthenticAMD") : set_vendor(entry, "GenuineIntel");
        break;
      case 1:
        entry.eax = model.cpuid_1_eax;
        break;
      case 0x80000007:
        entry.ebx = model.cpuid_80000007_ebx;
        break;
      default:
        break;
    }
  }
}

}  // namespace memfail::reference
