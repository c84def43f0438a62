// SPDX-License-Identifier: BSD-3-Clause
//
// What is not said is that of a guest which can take a machine check; what
// contradicts itself is refused by the option's name.
#include "sidecar/ctl/situation.h"

#include <gtest/gtest.h>

#include "sidecar/decision/vcpu_state.h"

namespace memfail::ctl {
namespace {

using decision::AddressClass;
using decision::Input;
using decision::Severity;

Input input(const Situation& situation) {
  const auto made = input_of(situation);
  EXPECT_TRUE(made) << made.error();
  return made.value_or(Input{});
}

std::string error(const Situation& situation) {
  const auto made = input_of(situation);
  return made ? "" : made.error();
}

decision::VcpuState vcpu(const Input& made) {
  return decision::vcpu_state(made.guest, made.snapshot, 9);
}

TEST(Situation, SaysNothingUnusualByDefault) {
  const Input made = input({});
  EXPECT_EQ(made.severity, Severity::kActionRequired);
  EXPECT_EQ(made.kind, wire::ReportKind::sigbus);
  EXPECT_EQ(made.thread, wire::ThreadKind::vcpu_in_run);
  EXPECT_EQ(made.where.address, AddressClass::kGuestRam);
  EXPECT_EQ(made.guest.vendor, wire::Vendor::intel);
  EXPECT_EQ(made.guest.mcg_cap_configured, 0x100010AU);  // what QEMU configures
  EXPECT_TRUE(made.vm_running);
  EXPECT_EQ(made.history.repeats, 1U);
  EXPECT_FALSE(made.history.known);
  EXPECT_TRUE(decision::knows_readiness(made.guest, made.snapshot));
  const decision::VcpuState state = vcpu(made);
  EXPECT_TRUE(state.cr4_mce && state.started);
  EXPECT_FALSE(state.mcip || state.mcg_ctl_off || state.bank_ctl_off || state.lmce ||
               state.in_smm || state.mc_queued || state.double_fault || state.triple_fault);
}

TEST(Situation, TakesTheSeverityFromOneOption) {
  EXPECT_EQ(input({.required = true}).severity, Severity::kActionRequired);
  EXPECT_EQ(input({.optional = true}).severity, Severity::kActionOptional);
  EXPECT_EQ(input({.code = 5}).severity, Severity::kActionOptional);
  EXPECT_EQ(input({.code = 2}).severity, Severity::kNone);
  EXPECT_EQ(error({.required = true, .optional = true}), "--ar, --ao, --code: give one of them");
  EXPECT_EQ(error({.optional = true, .code = 5}), "--ar, --ao, --code: give one of them");
}

TEST(Situation, KnowsWhichKindsHaveASeverityOfTheirOwn) {
  EXPECT_EQ(input({.kind = "memory-fault-exit"}).severity, Severity::kActionRequired);
  EXPECT_EQ(input({.kind = "remembered"}).severity, Severity::kActionOptional);
  EXPECT_EQ(input({.optional = true, .kind = "remembered"}).severity, Severity::kActionOptional);
  EXPECT_EQ(error({.optional = true, .kind = "mmio-exit"}),
            "--kind mmio-exit: is action required by itself");
  EXPECT_EQ(error({.required = true, .kind = "remembered"}),
            "--kind remembered: is action optional by itself");
  EXPECT_FALSE(input_of({.code = 4, .kind = "mmio-exit"}));
}

TEST(Situation, OnlyGuestRamHasAGuestAddress) {
  EXPECT_EQ(input({.gpa = 0x203456}).where.gpa, 0x203000U);
  EXPECT_EQ(input({.address = "vmm"}).where.gpa, wire::kNoAddress);
  EXPECT_EQ(input({.code = 128}).where.address, AddressClass::kNoAddress);
  EXPECT_EQ(input({.code = 128, .address = "vmm"}).where.address, AddressClass::kVmmMemory);
}

TEST(Situation, FollowsTheHardwareWhereOneThingImpliesAnother) {
  EXPECT_FALSE(vcpu(input({.smm = true})).cr4_mce);
  EXPECT_TRUE(vcpu(input({.cr4_mce = "yes", .smm = true})).cr4_mce);
  EXPECT_FALSE(vcpu(input({.not_started = true})).cr4_mce);
  EXPECT_FALSE(vcpu(input({.not_started = true})).started);
  EXPECT_TRUE(vcpu(input({.mc_queued = true})).mcip);
  EXPECT_FALSE(vcpu(input({.mcip = true})).mc_queued);
  EXPECT_TRUE(vcpu(input({.double_fault = true})).double_fault);
  EXPECT_EQ(input({.lmce = true}).guest.mcg_cap_configured, 0x900010AU);
  EXPECT_EQ(input({.cmci = "9"}).guest.mcg_cap_configured, 0x100050AU);
}

TEST(Situation, AnAmdGuestIsOneOfAnAmdHost) {
  const Input made = input({.vendor = "amd"});
  EXPECT_EQ(made.guest.cpuid_80000007_ebx, 3U);
  EXPECT_EQ(made.guest.mcg_cap_configured, 0x100010AU);
  EXPECT_EQ(made.guest.mcg_cap_kvm, 0x10AU);  // kvm_amd hides the rest
}

TEST(Situation, SoftwareRecoveryCanBeSwitchedAlone) {
  EXPECT_EQ(input({.ser_p = "no"}).guest.mcg_cap_configured, 0x10AU);
  EXPECT_EQ(input({.mcg_cap = 10, .ser_p = "yes"}).guest.mcg_cap_configured, 0x100000AU);
}

TEST(Situation, TakesBanksByNumber) {
  const Input made = input({.banks_valid = "9", .banks_off = "0-2", .cmci = "all"});
  EXPECT_EQ(made.snapshot.bank_val(), 0x200U);
  EXPECT_EQ(made.snapshot.bank_ctl_off(), 7U);
  EXPECT_EQ(made.snapshot.bank_cmci_on(), 0x3FFU);
  EXPECT_EQ(error({.mcg_cap = 0x1000004, .banks_off = "9"}),
            "--banks-off: 9: the guest has banks 0 to 3");
}

TEST(Situation, AnUnreadableVcpuSaysNothing) {
  EXPECT_EQ(input({.mcip = true, .no_snapshot = true}).snapshot.valid(), 0);
  EXPECT_EQ(input({.mcip = true, .no_snapshot = true}).snapshot.mcg_status(), 0U);
}

TEST(Situation, KeepsThePagesHistory) {
  EXPECT_TRUE(input({.told = true}).history.guest_told);
  EXPECT_TRUE(input({.repeats = 7}).history.known);
  EXPECT_EQ(input({.repeats = 7}).history.repeats, 7U);
  EXPECT_EQ(input({.optional = true}).history.repeats, 0U);
  EXPECT_FALSE(input({.paused = true}).vm_running);
}

TEST(Situation, RefusesWhatItDoesNotKnowByName) {
  EXPECT_EQ(error({.kind = "none"}),
            "--kind: \"none\": must be sigbus, memory-fault-exit, mmio-exit or remembered");
  EXPECT_EQ(error({.thread = "x"}), "--thread: \"x\": must be vcpu-in-run, vcpu-outside or other");
  EXPECT_EQ(error({.address = "x"}), "--address: \"x\": must be guest-ram, unmapped, vmm or none");
  EXPECT_EQ(error({.vendor = "x"}), "--vendor: \"x\": must be intel, amd or unknown");
  EXPECT_EQ(error({.ser_p = "x"}), "--ser-p: \"x\": must be yes or no");
  EXPECT_EQ(error({.cr4_mce = "x"}), "--cr4-mce: \"x\": must be yes or no");
}

TEST(Situation, RefusesStateThatTheGuestCannotHave) {
  EXPECT_EQ(error({.mcg_cap = 0x100010A, .lmce = true}),
            "--lmce: MCG_CAP 0x100010a of this guest has no LMCE_P");
  EXPECT_FALSE(input_of({.vendor = "amd", .lmce = true}));
  EXPECT_EQ(error({.mcg_cap = 0x100010A, .cmci = "9"}),
            "--cmci: MCG_CAP 0x100010a of this guest has no CMCI_P");
  EXPECT_EQ(error({.mcg_cap = 0x100000A, .mcg_ctl_off = true}),
            "--mcg-ctl-off: MCG_CAP 0x100000a of this guest has no CTL_P");
}

}  // namespace
}  // namespace memfail::ctl
