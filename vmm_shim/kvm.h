// SPDX-License-Identifier: BSD-3-Clause
//
// The vCPU ioctls the shim needs. Several of <linux/kvm.h>'s numbers come out
// wrong in C++ with Debian 12's headers (an empty flexible struct is one byte
// there), so they are written down as the kernel has them.
#pragma once

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace memfail::shim {

inline constexpr unsigned long kGetMpState = 0x8004AE98;
inline constexpr unsigned long kGetMsrs = 0xC008AE88;
inline constexpr unsigned long kGetSregs = 0x8138AE83;
inline constexpr unsigned long kGetVcpuEvents = 0x8040AE9F;
inline constexpr unsigned long kSetMce = 0x4040AE9E;
static_assert(sizeof(kvm_sregs) == 0x138 && sizeof(kvm_vcpu_events) == 0x40);
static_assert(sizeof(kvm_x86_mce) == 0x40 && sizeof(kvm_mp_state) == 4);
static_assert(sizeof(kvm_msr_entry) == 16);

inline constexpr std::uint32_t kMsrMcgStatus = 0x17A;
inline constexpr std::uint32_t kMsrMcgCtl = 0x17B;
inline constexpr std::uint32_t kMsrMcgExtCtl = 0x4D0;
inline constexpr std::uint32_t kMsrBank0Ctl2 = 0x280;  // + bank
inline constexpr std::uint32_t kMsrBank0Ctl = 0x400;  // + 4 * bank: CTL, STATUS, ADDR, MISC
inline constexpr std::uint8_t kMachineCheckVector = 18;
inline constexpr std::uint64_t kCr4Mce = 1ULL << 6;

// A KVM_GET_MSRS request of at most N registers, on the stack.
template <std::size_t N>
class MsrList {
 public:
  void add(std::uint32_t index) {
    if (count_ < N) block_.entries[count_++].index = index;
  }
  // True if KVM read every one (it stops at the first it refuses).
  bool read(int vcpu_fd) {
    block_.count = static_cast<std::uint32_t>(count_);
    return ::ioctl(vcpu_fd, kGetMsrs, &block_) == static_cast<int>(count_);
  }
  [[nodiscard]] std::uint64_t operator[](std::size_t i) const { return block_.entries[i].data; }
  [[nodiscard]] std::size_t size() const { return count_; }

 private:
  struct {
    std::uint32_t count = 0;
    std::uint32_t pad = 0;
    std::array<kvm_msr_entry, N> entries{};
  } block_;
  std::size_t count_ = 0;
};

}  // namespace memfail::shim
