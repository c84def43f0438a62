// SPDX-License-Identifier: BSD-3-Clause
#include "tests/qemu/vcpu.h"

#include <stdexcept>

#include "sidecar/decision/machine_check.h"
#include "tests/unit/decision/snapshot.h"

namespace memfail::qemu {
namespace {

constexpr std::uint32_t kCr4Mce = 0x40;
constexpr std::uint32_t kMsrMcgCap = 0x179;
constexpr std::uint32_t kMsrMcgStatus = 0x17A;
constexpr std::uint32_t kMsrMcgCtl = 0x17B;
constexpr std::uint64_t kAllOnes = ~std::uint64_t{0};
// What KVM lets a guest clear in an MCi_CTL.
constexpr std::uint64_t kBankCtlOff = ~std::uint64_t{1};
constexpr std::uint32_t kGenuineIntelEbx = 0x756E6547;

constexpr const char* kCorrected = "0x9000000000000011";
constexpr const char* kUncorrected = "0xb000000000000022";

std::uint32_t ctl(std::uint8_t bank) { return 0x400U + 4U * bank; }
std::uint32_t status(std::uint8_t bank) { return ctl(bank) + 1; }
std::uint32_t address(std::uint8_t bank) { return ctl(bank) + 2; }
std::uint32_t misc(std::uint8_t bank) { return ctl(bank) + 3; }

void make_ready(GuestLine& vcpu, std::uint8_t bank) {
  vcpu.wrmsr({{kMsrMcgStatus, 0},
              {kMsrMcgCtl, kAllOnes},
              {ctl(bank), kAllOnes},
              {status(bank), 0},
              {address(bank), 0},
              {misc(bank), 0}});
  vcpu.set_cr4(kCr4Mce);
}

// KVM lets no Intel guest write a status: an earlier record fills the bank.
void fill(Machine& machine, unsigned index, std::uint8_t bank, Bank with) {
  if (with == Bank::kEmpty) return;
  GuestLine& vcpu = machine.vcpu(index);
  machine.qmp().monitor("mce " + std::to_string(index) + " " + std::to_string(bank) + " " +
                        (with == Bank::kCorrected ? kCorrected : kUncorrected) + " 5 0 0");
  vcpu.wrmsr(kMsrMcgStatus, 0);
  const unsigned taken = vcpu.take_machine_checks();
  const std::size_t told = machine.qmp().take_events("MEMORY_FAILURE").size();
  if (taken != (with == Bank::kUncorrected ? 1U : 0U) || told != 1) {
    throw std::runtime_error("the bank could not be filled");
  }
}

std::string set_or_clear(bool set) { return set ? "set" : "clear"; }
std::string on_or_off(bool on) { return on ? "all ones" : "off"; }

}  // namespace

std::string text(const State& state) {
  constexpr const char* kBanks[] = {"empty", "holds a corrected error",
                                    "holds an uncorrected error"};
  return "CR4.MCE " + set_or_clear(state.cr4_mce) + ", MCIP " + set_or_clear(state.mcip) +
         ", MCG_CTL " + on_or_off(state.mcg_ctl) + ", MCi_CTL " + on_or_off(state.bank_ctl) +
         ", bank " + kBanks[static_cast<std::size_t>(state.bank)];
}

void set_state(Machine& machine, unsigned index, std::uint8_t bank, const State& state) {
  GuestLine& vcpu = machine.vcpu(index);
  make_ready(vcpu, bank);
  fill(machine, index, bank, state.bank);
  vcpu.wrmsr({{kMsrMcgCtl, state.mcg_ctl ? kAllOnes : 0},
              {ctl(bank), state.bank_ctl ? kAllOnes : kBankCtlOff},
              {kMsrMcgStatus, state.mcip ? decision::kMcgStatusMcip : 0}});
  if (!state.cr4_mce) vcpu.set_cr4(0);
}

Registers read_registers(GuestLine& vcpu, std::uint8_t bank) {
  Registers registers;
  registers.cr4 = vcpu.cr4();
  const auto values =
      vcpu.rdmsr({kMsrMcgStatus, kMsrMcgCtl, ctl(bank), status(bank), address(bank), misc(bank)});
  registers.mcg_status = values[0];
  registers.mcg_ctl = values[1];
  registers.bank = {values[2], values[3], values[4], values[5]};
  return registers;
}

wire::SnapshotLine snapshot_of(const Registers& registers, std::uint8_t bank) {
  const std::uint32_t bit = std::uint32_t{1} << bank;
  decision::testing::Snapshot snapshot;
  snapshot.knows_lmce = snapshot.knows_events = snapshot.knows_smm = false;
  snapshot.cr4_mce = (registers.cr4 & kCr4Mce) != 0;
  snapshot.mcg_status = registers.mcg_status;
  snapshot.mcg_ctl_ok = registers.mcg_ctl == kAllOnes;
  snapshot.bank_ctl_off = registers.bank.ctl == kAllOnes ? ~bit : ~std::uint32_t{0};
  snapshot.bank_val = (registers.bank.status & decision::kStatusVal) != 0 ? bit : 0;
  snapshot.bank_uc = (registers.bank.status & decision::kStatusUc) != 0 ? bit : 0;
  return snapshot.line();
}

decision::GuestProfile profile_of(Machine& machine) {
  GuestLine& vcpu = machine.vcpu(0);
  decision::GuestProfile profile;
  profile.vendor =
      vcpu.cpuid(0)[1] == kGenuineIntelEbx ? wire::Vendor::intel : wire::Vendor::unknown;
  profile.cpuid_1_eax = vcpu.cpuid(1)[0];
  profile.cpuid_80000007_ebx = vcpu.cpuid(0x80000007)[1];
  profile.mcg_cap_configured = decision::testing::kMcgCapQemu;
  profile.mcg_cap_kvm = vcpu.rdmsr(kMsrMcgCap);
  profile.vcpus = machine.vcpus();
  return profile;
}

}  // namespace memfail::qemu
