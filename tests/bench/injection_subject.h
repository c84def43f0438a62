// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "tests/bench/bench_vm.h"
#include "tests/bench/kvm_vcpu.h"
#include "tests/bench/subject.h"

namespace memfail::bench {

// From signal entry to the machine check in the vCPU, read back: everything the
// shim does, with a real vCPU and the real sidecar, as the outcome itself says.
class InjectionSubject : public Subject {
 public:
  InjectionSubject(const SidecarProcess& sidecar, const KvmVcpu& vcpu);
  std::uint64_t round() override;

  // Incidents that the fallback decided, the sidecar being late. Should be 0.
  [[nodiscard]] std::uint64_t fallbacks();
  [[nodiscard]] std::uint64_t slices();

 private:
  const KvmVcpu& vcpu_;
  BenchVm vm_;
};

}  // namespace memfail::bench
