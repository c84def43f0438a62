// SPDX-License-Identifier: BSD-3-Clause
//
// The KVM interface as this program uses it.
//
// Some kernel headers (Debian 12's among them) end structs with a flexible array
// inside an empty struct. An empty struct is one byte in C++, so sizeof, and with
// it the ioctl number of KVM_GET_MSRS and others, comes out wrong. Those numbers
// and structs are written out here.
#pragma once

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace memfail::reference {

inline constexpr unsigned long kGetMsrs = 0xC008AE88;
inline constexpr unsigned long kSetMsrs = 0x4008AE89;
inline constexpr unsigned long kGetSupportedCpuid = 0xC008AE05;
inline constexpr unsigned long kSetCpuid2 = 0x4008AE90;

static_assert(KVM_RUN == 0xAE80);
static_assert(KVM_X86_SETUP_MCE == 0x4008AE9C);
static_assert(KVM_X86_GET_MCE_CAP_SUPPORTED == 0x8008AE9D);
static_assert(KVM_X86_SET_MCE == 0x4040AE9E);
static_assert(KVM_GET_SREGS == 0x8138AE83);
static_assert(KVM_SET_SREGS == 0x4138AE84);
static_assert(KVM_SET_REGS == 0x4090AE82);
static_assert(KVM_SET_MP_STATE == 0x4004AE99);
static_assert(KVM_SET_USER_MEMORY_REGION == 0x4020AE46);

template <std::size_t N>
struct MsrList {
  std::uint32_t count = N;
  std::uint32_t pad = 0;
  std::array<kvm_msr_entry, N> entries{};
};
static_assert(offsetof(MsrList<1>, entries) == 8);

struct CpuidList {
  static constexpr std::size_t kMax = 256;
  std::uint32_t count = kMax;
  std::uint32_t pad = 0;
  std::array<kvm_cpuid_entry2, kMax> entries{};
};
static_assert(offsetof(CpuidList, entries) == 8);

// Poison in guest_memfd is no signal but this exit (Linux 6.8; absent in older headers).
inline constexpr std::uint32_t kExitMemoryFault = 39;
struct MemoryFault {
  std::uint64_t flags, gpa, size;
};

// Machine-check registers.
inline constexpr std::uint32_t kMsrMcgCap = 0x179;
inline constexpr std::uint32_t kMsrMcgStatus = 0x17A;
inline constexpr std::uint32_t kMsrMcgCtl = 0x17B;
inline constexpr std::uint32_t kMsrMc0Ctl = 0x400;  // 4 registers a bank

inline constexpr std::uint64_t kMcgCtlP = 1u << 8;
inline constexpr std::uint64_t kMcgCmciP = 1u << 10;
inline constexpr std::uint64_t kMcgSerP = 1u << 24;
inline constexpr std::uint64_t kMcgLmceP = 1u << 27;

inline constexpr std::uint64_t kCr4Mce = 1u << 6;

}  // namespace memfail::reference
