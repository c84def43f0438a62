// SPDX-License-Identifier: BSD-3-Clause
//
// A page told by a deferred record (UCNA): written by KVM without a #MC, and read back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/kvm/rig.h"
#include "vmm_shim/snapshot.h"

namespace memfail::test {
namespace {

using wire::DecidedBy;
using wire::Delivered;
using wire::Reason;
using wire::Verdict;

constexpr std::uint64_t kDeferredStatus = 0xBC00'0000'0000'00C0;
constexpr std::uint32_t kMsrMc0Ctl2 = 0x280;
constexpr std::uint64_t kCmciOn = std::uint64_t{1} << 30;

wire::ReplyLine inject_deferred(std::uint64_t gpa) {
  return {0,
          0,
          Verdict::inject_deferred,
          Reason::guest_memory,
          wire::SiblingRule::none,
          9,
          0,
          Verdict::ignore,
          0x8C,
          0,
          kDeferredStatus,
          gpa,
          gpa,
          0,
          0};
}

class DeferredTest : public KvmTest {
 protected:
  static wire::OutcomeLine tell(Rig& rig) {
    FakeSidecar& sidecar = rig.attach();
    const shm::Claim first = claim(0, 1, sidecar.geometry());
    rig.raise(kOptional, 3);
    sidecar.answer(first, inject_deferred(Rig::gpa(3)));
    EXPECT_EQ(rig.handle(), MEMFAIL_RESUME);
    const auto outcome = sidecar.outcome(first);
    EXPECT_TRUE(outcome);
    return outcome.value_or(wire::OutcomeLine());
  }
};

TEST_F(DeferredTest, IsReadBackAsDeliveredWithoutAMachineCheck) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  const auto outcome = tell(rig);
  EXPECT_EQ(outcome.verdict(), Verdict::inject_deferred);
  EXPECT_EQ(outcome.delivered(), Delivered::delivered);
  EXPECT_EQ(outcome.status(), kDeferredStatus);
  EXPECT_EQ(outcome.bank(), 9U);
  EXPECT_EQ(rig.bank_status(9), kDeferredStatus);
  EXPECT_EQ(rig.msr(reference::kMsrMc0Ctl + 4 * 9 + 2), Rig::gpa(3));
  EXPECT_EQ(rig.msr(reference::kMsrMcgStatus), 0U);
  EXPECT_EQ(rig.queued(), -1);
}

// It clears MCG_STATUS: the guest's handler, which is at work, would lose its own error.
TEST_F(DeferredTest, IsNotGivenToAGuestThatHandlesAMachineCheck) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  rig.set_msr(reference::kMsrMcgStatus, 4);
  const auto outcome = tell(rig);
  EXPECT_EQ(outcome.decided_by(), DecidedBy::builtin) << "the sidecar's is not plausible";
  EXPECT_EQ(outcome.verdict(), Verdict::ignore);
  EXPECT_EQ(outcome.reason(), Reason::mce_in_progress);
  EXPECT_EQ(rig.bank_status(9), 0U);
  EXPECT_EQ(rig.msr(reference::kMsrMcgStatus), 4U);
}

// The interrupt that goes with it. What cannot be played without CMCI is enumerated:
// RecommendedPolicy (column cmci) says when a record is deferred, Promises that it never
// is where the guest has not enabled it, MachineCheck what it holds.
TEST_F(DeferredTest, ComesWithAnInterruptThatTheGuestEnabled) {
  Rig rig;
  const std::uint64_t with_cmci = reference::kMcgCap | reference::kMcgCmciP;
  const reference::UniqueFd vcpu = rig.machine().create_vcpu(1);
  if (!reference::can_offer(rig.machine(), vcpu.get(), with_cmci)) {
    std::ostringstream offered;
    offered << std::hex << rig.machine().mce_capabilities();
    GTEST_SKIP() << "CMCI cannot be had: KVM_X86_SETUP_MCE refuses MCG_CMCI_P, this host's KVM "
                    "offers 0x"
                 << offered.str()
                 << " (kvm_amd never has it). By enumeration: "
                    "decision_recommended_policy_test, decision_promises_test, "
                    "decision_machine_check_test";
  }
  std::uint64_t mcg_cap = with_cmci;
  ASSERT_EQ(::ioctl(rig.fd(), KVM_X86_SETUP_MCE, &mcg_cap), 0);
  rig.set_msr(kMsrMc0Ctl2 + 9, kCmciOn);
  rig.shim()->profile.mcg_cap_kvm |= reference::kMcgCmciP;
  EXPECT_EQ(shim::take_snapshot(*rig.lane()).bank_cmci_on(), 1U << 9);
  EXPECT_EQ(tell(rig).delivered(), Delivered::delivered);
}

}  // namespace
}  // namespace memfail::test
