// SPDX-License-Identifier: BSD-3-Clause
//
// One vCPU as firmware would leave it: CPUID, machine-check banks, registers.
#pragma once

#include <cstdint>

#include "vmm_shim/reference/cpu_model.h"
#include "vmm_shim/reference/machine.h"

namespace memfail::reference {

struct VcpuSetup {
  unsigned index = 0;
  bool started = true;      // false: waits for INIT and SIPI, which never come
  bool mce_enabled = true;  // CR4.MCE
};

// Ten banks, as QEMU gives; a guest needs SER_P to survive an action-required one.
inline constexpr unsigned kBanks = 10;
inline constexpr std::uint64_t kMcgCap = kBanks | kMcgCtlP | kMcgSerP;

// Once, after KVM_CREATE_VCPU. Returns MCG_CAP as the guest will read it: KVM may
// hide capabilities it accepted.
std::uint64_t setup_features(const Machine& machine, int vcpu_fd, const CpuModel& model,
                             std::uint64_t mcg_cap);

// At start and at every guest reset, with the vCPU out of KVM_RUN.
void reset_registers(const Machine& machine, int vcpu_fd, const VcpuSetup& setup);

// On the vCPU's thread.
void write_msr(int vcpu_fd, std::uint32_t index, std::uint64_t value);

// An exception that KVM was about to give the guest. On the vCPU's thread.
void queue_exception(int vcpu_fd, std::uint8_t vector);

// True when KVM would let a guest have this MCG_CAP.
bool can_offer(const Machine& machine, int vcpu_fd, std::uint64_t mcg_cap);

}  // namespace memfail::reference
