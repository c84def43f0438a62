// SPDX-License-Identifier: BSD-3-Clause
//
// A small VM on /dev/kvm whose vCPUs the test's own thread enters, one step at a time,
// and the shim on it. The guest is memfail-vmm's.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"
#include "vmm_shim/reference/guest.h"
#include "vmm_shim/reference/guest_view.h"
#include "vmm_shim/reference/machine.h"
#include "vmm_shim/reference/vcpu_setup.h"

namespace memfail::test {

inline constexpr std::uint64_t kIntelRequired = 0xBD80'0000'0000'0134;
inline constexpr std::uint64_t kIntelOptional = 0xBD00'0000'0000'00C0;
inline constexpr std::uint64_t kSiblingStatus = 0xA000'0000'0000'0000;

class Rig {
 public:
  using Adjust = std::function<void(memfail_config&)>;
  explicit Rig(std::uint32_t vcpus = 1, const Adjust& adjust = {});
  ~Rig();
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  [[nodiscard]] memfail_shim* shim() const { return shim_; }
  [[nodiscard]] memfail_lane* lane(std::uint32_t vcpu = 0) const { return vcpus_[vcpu].lane; }
  [[nodiscard]] int fd(std::uint32_t vcpu = 0) const { return vcpus_[vcpu].fd.get(); }
  [[nodiscard]] const reference::Machine& machine() const { return machine_; }
  [[nodiscard]] std::uint64_t hva(std::uint64_t page) const { return test_.hva() + page * kPage; }
  [[nodiscard]] static std::uint64_t gpa(std::uint64_t page) {
    return GUEST_TEST_REGION + page * kPage;
  }
  [[nodiscard]] std::uint64_t msr(std::uint32_t index, std::uint32_t vcpu = 0) const;
  void set_msr(std::uint32_t index, std::uint64_t value, std::uint32_t vcpu = 0) const;
  [[nodiscard]] std::uint64_t bank_status(std::uint32_t bank, std::uint32_t vcpu = 0) const {
    return msr(reference::kMsrMc0Ctl + 4 * bank + 1, vcpu);
  }
  // The exception queued or injected; -1: none.
  [[nodiscard]] int queued(std::uint32_t vcpu = 0) const;
  void set_cr4_mce(bool on, std::uint32_t vcpu = 0) const;
  // Into system management mode; false: this KVM has none.
  [[nodiscard]] bool enter_smm(std::uint32_t vcpu = 0) const;
  void set_started(bool started, std::uint32_t vcpu = 0) const;
  // As the guest's handler does: ready for the next one.
  void recover(std::uint32_t vcpu = 0) const;

  // A report of this vCPU as its handler makes it, inside the bracket.
  void raise(int code, std::uint64_t page, std::uint32_t vcpu = 0);
  int handle(std::uint32_t vcpu = 0) { return memfail_handle(lane(vcpu)); }
  // Enters the guest until it writes to `port` and has left that instruction; false
  // when it comes out with a shutdown instead.
  bool run_until(std::uint16_t port, std::uint32_t vcpu = 0);
  [[nodiscard]] std::vector<reference::BankSeen> seen() const { return view_.banks(); }
  [[nodiscard]] std::vector<memfail_incident> incidents() const { return incidents_; }
  [[nodiscard]] const std::vector<memfail_mce>& machine_checks() const { return machine_checks_; }
  // What was posted to `vcpu`, run; how much it was.
  std::size_t run_posted(std::uint32_t vcpu);
  // The same, but only taken out: to be run when the test says so.
  std::vector<Posted> take_posted(std::uint32_t vcpu);

  // A sidecar that the test speaks for, attached.
  FakeSidecar& attach(std::uint64_t features = 0);

 private:
  struct Vcpu {
    reference::UniqueFd fd;
    kvm_run* run = nullptr;
    memfail_lane* lane = nullptr;
  };
  void add_vcpu(std::uint32_t index);
  void make_shim(const Adjust& adjust);
  void add_region(std::uint32_t slot, std::uint64_t gpa, const reference::Memory& memory);
  void leave_instruction(Vcpu& vcpu) const;

  TempDir dir_;
  std::string path_ = dir_.file("s");
  FakeSidecar sidecar_{path_};
  reference::Memory low_;
  reference::Memory test_;
  reference::Machine machine_;
  reference::GuestView view_;
  std::uint64_t mcg_cap_ = 0;
  std::vector<Vcpu> vcpus_;
  memfail_shim* shim_ = nullptr;
  std::vector<memfail_incident> incidents_;
  std::vector<memfail_mce> machine_checks_;
  std::vector<Posted> posted_;
};

// Skips, loudly, where there is no /dev/kvm; ends what hangs.
class KvmTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;
};

}  // namespace memfail::test
