// SPDX-License-Identifier: BSD-3-Clause
//
// What goes into a decision and what comes out. Plain values: no pointers, no
// clock, no I/O; the same code runs in the sidecar and, as its fallback, in the
// shim.
#pragma once

#include <cstdint>

#include "schema/incident_layout.h"

namespace memfail::decision {

// What a guest is, as its VMM said in `hello`. Fixed for a session.
struct GuestProfile {
  wire::Vendor vendor = wire::Vendor::unknown;
  std::uint32_t cpuid_1_eax = 0;
  std::uint32_t cpuid_80000007_ebx = 0;
  std::uint64_t mcg_cap_configured = 0;  // what the VMM asked for
  std::uint64_t mcg_cap_kvm = 0;         // what KVM reads back
  std::uint32_t vcpus = 0;
};

// Where a reported address lies.
enum class AddressClass : std::uint8_t {
  kNoAddress,         // the kernel could not name one (SI_KERNEL)
  kGuestRam,          // in a region, and mapped to a guest physical address
  kGuestRamUnmapped,  // in a region the guest cannot see
  kVmmMemory,         // in no region
};

struct Classification {
  AddressClass address = AddressClass::kVmmMemory;
  std::uint64_t gpa = wire::kNoAddress;  // of the reported page, 4 KiB aligned
  std::uint64_t hva = wire::kNoAddress;  // as reported
  std::uint64_t lost_size = 0;           // bytes lost: the backing page's size
  std::uint32_t region = ~std::uint32_t{0};  // index into the region map
};

// kActionRequired: the access cannot be resumed. kActionOptional: nobody has
// touched the page yet. kNone: not a hardware error (BUS_ADRERR and others).
enum class Severity : std::uint8_t { kNone, kActionRequired, kActionOptional };

// One machine-check record, in the form of struct kvm_x86_mce.
struct MachineCheck {
  std::uint64_t status = 0;
  std::uint64_t address = 0;
  std::uint64_t misc = 0;
  std::uint64_t mcg_status = 0;
  std::uint8_t bank = wire::kNoBank;
};

struct Decision {
  wire::Verdict verdict = wire::Verdict::none;
  wire::Reason reason = wire::Reason::none;
  wire::SiblingRule siblings = wire::SiblingRule::none;
  // What it becomes where KVM does not take the record: nothing, under QEMU's policy.
  wire::Verdict otherwise = wire::Verdict::ignore;
  MachineCheck record;                   // meaningful with inject
  std::uint64_t gpa = wire::kNoAddress;  // guest page the verdict speaks of
};

}  // namespace memfail::decision
