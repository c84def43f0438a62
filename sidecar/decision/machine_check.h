// SPDX-License-Identifier: BSD-3-Clause
//
// The machine-check records that are ever given to a guest. There are few, and
// the shim refuses anything else (is_template), so that a hijacked sidecar
// cannot choose registers.
#pragma once

#include "sidecar/decision/types.h"

namespace memfail::decision {

// IA32_MCi_STATUS (SDM vol. 3, 17.3.2.2; AMD APM vol. 2, 9.3.2.3).
inline constexpr std::uint64_t kStatusVal = std::uint64_t{1} << 63;
inline constexpr std::uint64_t kStatusOver = std::uint64_t{1} << 62;
inline constexpr std::uint64_t kStatusUc = std::uint64_t{1} << 61;
inline constexpr std::uint64_t kStatusEn = std::uint64_t{1} << 60;
inline constexpr std::uint64_t kStatusMiscv = std::uint64_t{1} << 59;
inline constexpr std::uint64_t kStatusAddrv = std::uint64_t{1} << 58;
inline constexpr std::uint64_t kStatusPcc = std::uint64_t{1} << 57;
inline constexpr std::uint64_t kStatusS = std::uint64_t{1} << 56;
inline constexpr std::uint64_t kStatusAr = std::uint64_t{1} << 55;
inline constexpr std::uint64_t kStatusDeferred = std::uint64_t{1} << 44;
inline constexpr std::uint64_t kStatusPoison = std::uint64_t{1} << 43;

// IA32_MCG_STATUS.
inline constexpr std::uint64_t kMcgStatusRipv = 1;
inline constexpr std::uint64_t kMcgStatusEipv = 2;
inline constexpr std::uint64_t kMcgStatusMcip = 4;
inline constexpr std::uint64_t kMcgStatusLmce = 8;

// IA32_MCG_CAP.
inline constexpr std::uint64_t kMcgCapBanks = 0xFF;
inline constexpr std::uint64_t kMcgCapCtlP = std::uint64_t{1} << 8;
inline constexpr std::uint64_t kMcgCapCmciP = std::uint64_t{1} << 10;
inline constexpr std::uint64_t kMcgCapSerP = std::uint64_t{1} << 24;
inline constexpr std::uint64_t kMcgCapLmceP = std::uint64_t{1} << 27;

inline constexpr std::uint64_t kMiscPage = (2 << 6) | 12;  // physical address, 4 KiB
inline constexpr std::uint8_t kQemuBank = 9;
inline constexpr std::uint8_t kSiblingBank = 1;
inline constexpr std::uint8_t kMaxBanks = 32;  // KVM_MAX_MCE_BANKS

// The record for the vCPU that met the page. `lmce`: the guest has local machine
// checks enabled; AMD has none. Everything that is not AMD gets Intel's records,
// as in QEMU 9.1. Severity kNone has no record (VAL clear).
MachineCheck page_record(wire::Vendor vendor, Severity severity, bool lmce, std::uint8_t bank,
                         std::uint64_t gpa);

// What QEMU broadcasts to the other vCPUs.
MachineCheck sibling_record(std::uint8_t bank = kSiblingBank);

// An uncorrected error, no action required, told without an exception.
MachineCheck ucna_record(std::uint8_t bank, std::uint64_t gpa);

// Whether a machine check on this guest's processor goes to all of its threads:
// Intel family 6 from model 14 on, and families above 6; never AMD.
bool broadcasts(const GuestProfile& guest);

// Whether the record is one of the above, for some vendor, bank and page; a broadcast's
// for bank 1 alone: only the sibling's own thread has another for it.
bool is_template(const MachineCheck& record);

}  // namespace memfail::decision
