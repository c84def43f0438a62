// SPDX-License-Identifier: BSD-3-Clause
//
// The smallest real vCPU: real mode, one page of code that leaves at once.
//
// Some kernel headers (Debian 12's among them) end structs with a flexible array
// inside an empty struct, which is one byte in C++: those ioctls' numbers come out
// wrong, so they are written down as the kernel has them.
#pragma once

#include <linux/kvm.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "shm/mapping.h"
#include "shm/unique_fd.h"

namespace memfail::bench {

inline constexpr unsigned long kGetMsrs = 0xC008AE88;
inline constexpr unsigned long kSetMsrs = 0x4008AE89;
inline constexpr std::uint32_t kMsrMcgStatus = 0x17A;
inline constexpr std::uint32_t kMsrMcgCtl = 0x17B;
inline constexpr std::uint32_t kMsrBank0Ctl = 0x400;  // + 4 * bank: CTL, STATUS, ADDR, MISC
inline constexpr std::uint32_t kBanks = 10;
inline constexpr std::size_t kMaxMsrs = 256;

// The memory layout of struct kvm_msrs.
struct MsrBlock {
  std::uint32_t count = 0;
  std::uint32_t pad = 0;
  std::array<kvm_msr_entry, kMaxMsrs> entries{};

  void add(std::uint32_t index, std::uint64_t data = 0) { entries.at(count++) = {index, 0, data}; }
};
static_assert(sizeof(kvm_msr_entry) == 16);

class KvmVcpu {
 public:
  // Why there can be none here; empty: there can.
  static std::string obstacle();

  KvmVcpu();

  [[nodiscard]] int fd() const { return vcpu_.get(); }
  [[nodiscard]] kvm_run* run() const { return reinterpret_cast<kvm_run*>(run_.data()); }
  [[nodiscard]] const shm::Mapping& ram() const { return ram_; }
  [[nodiscard]] std::uint64_t mcg_cap_configured() const { return mcg_cap_; }
  [[nodiscard]] std::uint64_t mcg_cap_kvm() const;
  // What KVM_GET_MSR_INDEX_LIST names.
  [[nodiscard]] std::vector<std::uint32_t> msr_indices() const;
  [[nodiscard]] int check_extension(long capability) const;

  // Lets the guest run until its next exit, which comes at once.
  void run_guest() const;
  // Takes the last machine check away: banks, MCG_STATUS, what is queued.
  void clear_machine_check() const;
  // Whether a machine check waits for the guest.
  [[nodiscard]] bool machine_check_queued() const;

 private:
  void make_vm();
  void make_vcpu();
  void set_features();
  void set_registers() const;

  shm::UniqueFd kvm_;
  shm::Mapping ram_;
  shm::UniqueFd vm_;
  shm::UniqueFd vcpu_;
  shm::Mapping run_;
  std::uint64_t mcg_cap_ = 0;
};

}  // namespace memfail::bench
