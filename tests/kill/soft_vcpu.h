// SPDX-License-Identifier: BSD-3-Clause
//
// A vCPU's machine-check state without a KVM, so that processes can be killed on any
// machine: a descriptor that answers those ioctls by which the shim looks and injects,
// as KVM does (tests/kvm has the real ones). Its own thread alone uses it.
#pragma once

#include <linux/kvm.h>

#include <array>
#include <cstdint>

#include "shm/unique_fd.h"

namespace memfail::kill {

class SoftVcpu {
 public:
  static constexpr std::uint32_t kBanks = 10;
  static constexpr std::uint64_t kMcgCap = 0x100'0100 | kBanks;  // SER_P, CTL_P

  SoftVcpu();

  [[nodiscard]] int fd() const { return fd_.get(); }
  // As the guest's handler would: nothing queued, MCIP cleared, every bank free.
  void recover();

  // What ioctl() on its descriptor comes to; -1 and errno.
  int control(unsigned long request, void* argument);

 private:
  struct Bank {
    std::uint64_t status = 0;
    std::uint64_t address = 0;
    std::uint64_t misc = 0;
  };

  int get_msrs(void* list) const;
  [[nodiscard]] bool get_msr(std::uint32_t index, std::uint64_t& value) const;
  int get_events(kvm_vcpu_events& events) const;
  int set_machine_check(const kvm_x86_mce& given);

  shm::UniqueFd fd_;
  std::uint64_t mcg_status_ = 0;
  bool queued_ = false;        // #MC
  bool triple_fault_ = false;
  std::array<Bank, kBanks> banks_{};
};

}  // namespace memfail::kill
