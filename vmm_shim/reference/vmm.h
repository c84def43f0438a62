// SPDX-License-Identifier: BSD-3-Clause
//
// The VMM: memory, machine, vCPUs and the shim put together, and its event loop.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "vmm_shim/reference/changed.h"
#include "vmm_shim/reference/failures.h"
#include "vmm_shim/reference/guest_view.h"
#include "vmm_shim/reference/incident.h"
#include "vmm_shim/reference/machine.h"
#include "vmm_shim/reference/memory.h"
#include "vmm_shim/reference/timeline.h"
#include "vmm_shim/reference/vcpu.h"
#include "vmm_shim/reference/vcpu_setup.h"

namespace memfail::reference {

struct VmmConfig {
  FailureConfig failures;  // the vCPU count and MCG_CAP too; kvm's view is filled in
  RamKind ram = RamKind::kAnonymous;
  unsigned not_started = 0;  // the last vCPUs never get their SIPI
  bool mce_enabled = true;   // CR4.MCE
};

enum class VmState { kRunning, kReset, kPaused, kTripleFault };

class Vmm : private FailureHost, private VcpuHost {
 public:
  Vmm(const VmmConfig& config, Memory test_region);
  ~Vmm() override;

  // Attaches, starts the vCPUs and waits until the guest is ready. Returns why
  // there is no sidecar, or nothing.
  std::string start();
  void stop();
  // Between instructions of the guest, and on again.
  void pause();
  void resume();

  // The event loop: returns true when `condition` holds, false after the time
  // limit. All waiting of the main thread happens here.
  bool run_until(const std::function<bool()>& condition, int limit_ms = 5000);

  // Gives the guest a command; the guest takes one at a time.
  void command(unsigned vcpu, std::uint32_t command, std::uint32_t argument = 0,
               std::uint64_t value = 0);
  // Has the guest's #MC handler load this offset while MCIP is still set.
  void touch_in_handler(unsigned vcpu, std::uint32_t offset);

  VmState state() const;
  std::vector<Incident> incidents() const;
  const GuestView& view() const { return view_; }
  Timeline& timeline() { return timeline_; }
  const Timeline& timeline() const { return timeline_; }
  Failures& failures() { return *failures_; }
  Vcpu& vcpu(unsigned index) { return *vcpus_[index]; }
  const Machine& machine() const { return machine_; }
  const Memory& test_region() const { return test_; }
  const FailureConfig& config() const { return config_.failures; }
  const VmmConfig& setup() const { return config_; }
  // Guest addresses of the pages that a scenario broke. Any thread.
  void note_broken(std::uint64_t gpa);
  std::vector<std::uint64_t> broken() const;

 private:
  // What memfail asks of us.
  bool post(unsigned vcpu, std::function<void()> function) override;
  void on_poisoned(std::uint64_t gpa, std::uint64_t size) override;
  void on_incident(const memfail_incident& incident) override;
  [[noreturn]] void abort(const memfail_incident* incident) override;

  // What our vCPUs tell us.
  void on_out(unsigned vcpu, std::uint16_t port, std::uint32_t value) override;
  void on_reset_wanted(unsigned vcpu) override;
  void on_pause_wanted(unsigned vcpu) override;
  void on_triple_fault(unsigned vcpu) override;

  void create_vcpus();
  void connect_shim();
  void load_guest();
  void reset_vcpus();
  void start_vcpus();
  void stop_vcpus();
  void reset_guest();
  void set_state(VmState state);
  bool guest_is_ready() const;
  VcpuSetup setup_of(unsigned vcpu) const;
  void write_mailbox(unsigned vcpu, unsigned offset, std::uint32_t value);

  VmmConfig config_;
  Timeline timeline_;
  Memory low_;
  Memory test_;
  Machine machine_;
  GuestView view_;
  Changed changed_;
  std::vector<std::unique_ptr<Vcpu>> vcpus_;
  std::unique_ptr<Failures> failures_;

  mutable std::mutex mutex_;  // the members below; never held while memfail waits
  VmState state_ = VmState::kRunning;
  bool reset_wanted_ = false;
  std::vector<Incident> incidents_;
  std::vector<std::uint64_t> broken_;
};

}  // namespace memfail::reference
