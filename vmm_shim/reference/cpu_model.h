// SPDX-License-Identifier: BSD-3-Clause
//
// What the guest is told it runs on: it decides which machine-check records and
// which broadcast the guest expects.
#pragma once

#include <cstdint>

#include "vmm_shim/reference/kvm_ioctl.h"

namespace memfail::reference {

enum class Vendor { kIntel, kAmd };

struct CpuModel {
  Vendor vendor = Vendor::kIntel;
  std::uint32_t cpuid_1_eax = 0;         // family, model, stepping
  std::uint32_t cpuid_80000007_ebx = 0;  // AMD: overflow_recov, succor
};

CpuModel cpu_model(Vendor vendor);

// Writes the model over what KVM supports.
void apply(const CpuModel& model, CpuidList& list);

}  // namespace memfail::reference
