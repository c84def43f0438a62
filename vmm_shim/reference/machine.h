// SPDX-License-Identifier: BSD-3-Clause
//
// The KVM virtual machine: memory slots, interrupt controller, vCPU descriptors.
// Nothing here knows of memory failures.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "vmm_shim/reference/kvm_ioctl.h"
#include "vmm_shim/reference/memory.h"
#include "vmm_shim/reference/unique_fd.h"

namespace memfail::reference {

class Machine {
 public:
  // Opens /dev/kvm (exits with kExitNoKvm when it cannot) and puts `low` at GPA 0
  // and `test` at GUEST_TEST_REGION. Both must outlive the machine.
  Machine(const Memory& low, const Memory& test);

  // In-kernel interrupt controller: without it a vCPU cannot be "not started".
  bool has_irqchip() const { return has_irqchip_; }
  // What KVM_X86_SETUP_MCE may be asked for, besides the number of banks.
  std::uint64_t mce_capabilities() const { return mce_capabilities_; }

  UniqueFd create_vcpu(unsigned index) const;
  // Maps the page that vCPU and VMM share; it stays mapped until exit.
  kvm_run* map_run(int vcpu_fd) const;
  CpuidList supported_cpuid() const;

 private:
  void map_slot(unsigned slot, std::uint64_t gpa, const Memory& memory) const;

  UniqueFd kvm_;
  UniqueFd vm_;
  bool has_irqchip_ = false;
  std::uint64_t mce_capabilities_ = 0;
};

}  // namespace memfail::reference
