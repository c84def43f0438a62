// SPDX-License-Identifier: BSD-3-Clause
//
// What a VMM writes to have its memory failures handled: set-up of the shim and
// the operations it asks of us. The rest of the integration is in two places: the
// SIGBUS handler (sigbus.cc) and the loop around KVM_RUN (vcpu.cc).
#pragma once

#include <memfail/shim.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "vmm_shim/reference/cpu_model.h"
#include "vmm_shim/reference/memory.h"

namespace memfail::reference {

// What the shim may ask of the VMM; see struct memfail_ops for the rules.
class FailureHost {
 public:
  virtual ~FailureHost() = default;
  // Runs `function` soon on that vCPU's thread, outside KVM_RUN. Never waits.
  virtual bool post(unsigned vcpu, std::function<void()> function) = 0;
  virtual void on_poisoned(std::uint64_t gpa, std::uint64_t size) = 0;
  virtual void on_incident(const memfail_incident& incident) = 0;
  // The VMM itself cannot go on. Called from the signal handler.
  [[noreturn]] virtual void abort(const memfail_incident* incident) = 0;
};

struct FailureConfig {
  std::string socket_path;
  std::string name;
  std::array<std::uint8_t, 16> uuid{};
  CpuModel cpu;
  std::uint64_t mcg_cap_configured = 0;
  std::uint64_t mcg_cap_kvm = 0;
  unsigned vcpus = 1;
  unsigned deadline_ms = 0;
  memfail_fallback fallback = MEMFAIL_FALLBACK_BUILTIN;
  std::uint32_t allow = 0;  // MEMFAIL_ALLOW_*: what operators may do
};

struct RamRegion {
  unsigned slot;
  const char* name;
  std::uint64_t gpa;
  const Memory* memory;
};

class Failures {
 public:
  // `host` must outlive this. Dies when the shim refuses the configuration.
  Failures(const FailureConfig& config, FailureHost& host);

  // One transaction: all of the guest's RAM.
  void register_ram(std::initializer_list<RamRegion> regions);
  memfail_lane* register_vcpu(unsigned index, int vcpu_fd, kvm_run* run);
  memfail_lane* process_lane() const { return memfail_process_lane(shim_.get()); }

  // Empty, or why there is no sidecar now. The fallback decides until there is one.
  std::string attach();
  bool attached() const;
  // Pages of the guest that are broken, or whose repair the sidecar has yet to hear of.
  std::uint64_t broken_pages() const;

  // For the event loop: poll this, call that.
  int fd() const { return memfail_shim_fd(shim_.get()); }
  void dispatch() { memfail_shim_dispatch(shim_.get()); }

  // False: what may wait is only remembered. True again: the guest is told of it.
  void vm_running(bool running) { memfail_vm_running(shim_.get(), running ? 1 : 0); }

  // A migration. On the source, with the vCPUs stopped for good: what goes along.
  std::vector<std::byte> export_broken_pages() const;
  // On the destination, before any vCPU runs. How many pages, or negative errno, and why.
  int import_broken_pages(std::span<const std::byte> blob, std::string& why);

  // With the vCPUs stopped.
  void guest_reset() { memfail_guest_reset(shim_.get()); }

 private:
  struct Destroy {
    void operator()(memfail_shim* shim) const { memfail_shim_destroy(shim); }
  };

  std::unique_ptr<memfail_shim, Destroy> shim_;
};

}  // namespace memfail::reference
