// SPDX-License-Identifier: BSD-3-Clause
//
// One VM as the shim knows it: a region of RAM, one vCPU, a session with the real
// sidecar. The signal is raised by the thread on itself, as the kernel would raise
// it: positive si_code, an address in guest RAM.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "shm/mapping.h"
#include "tests/bench/sidecar_process.h"
#include "vmm_shim/state.h"

namespace memfail::bench {

// What a vCPU is to the shim, and what its guest was told it can do.
struct VcpuPart {
  int fd = -1;
  kvm_run* run = nullptr;
  std::uint64_t mcg_cap_configured = 0;
  std::uint64_t mcg_cap_kvm = 0;
};

// Private memory, there from the start.
shm::Mapping make_ram(std::size_t size);

class BenchVm {
 public:
  // `ram` is guest memory from GPA 0 on. Attached when it returns.
  BenchVm(const SidecarProcess& sidecar, const shm::Mapping& ram, const VcpuPart& vcpu,
          const std::string& name);

  // Raises an action-required SIGBUS for one page of guest RAM inside the KVM_RUN
  // bracket; the shim's signal entry runs. The claim that it made.
  shm::Claim raise_sigbus();
  // The report of `claim` as the handler committed it.
  [[nodiscard]] wire::ReportLine report(const shm::Claim& claim) const;
  // Waits until the sidecar is done with the cell and sleeps again. Not timed.
  void await_retired(const shm::Claim& claim);

  [[nodiscard]] memfail_shim& shim() { return *shim_; }
  [[nodiscard]] memfail_lane& lane() { return *lane_; }
  [[nodiscard]] const SidecarProcess& sidecar() const { return sidecar_; }

 private:
  void create(const VcpuPart& vcpu, const std::string& name);
  void add_ram();
  void attach();
  [[noreturn]] void give_up(const std::string& what);

  struct Destroy {
    void operator()(memfail_shim* shim) const { memfail_shim_destroy(shim); }
  };
  const SidecarProcess& sidecar_;
  const shm::Mapping& ram_;
  std::unique_ptr<memfail_shim, Destroy> shim_;
  memfail_lane* lane_ = nullptr;
  std::uint64_t sequence_ = 0;  // of the last incident
};

}  // namespace memfail::bench
