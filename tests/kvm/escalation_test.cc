// SPDX-License-Identifier: BSD-3-Clause
//
// Machine checks that did not take: what KVM really made of them, and what follows.
#include <gtest/gtest.h>

#include "tests/kvm/rig.h"

namespace memfail::test {
namespace {

using wire::Delivered;
using wire::Reason;
using wire::SiblingRule;
using wire::Verdict;

constexpr std::uint8_t kDoubleFault = 8;

class EscalationTest : public KvmTest {
 protected:
  // An AR at page 3; the sidecar says inject, and `otherwise` where it does not take.
  static int inject_or(Rig& rig, Verdict otherwise) {
    FakeSidecar& sidecar = rig.attach();
    rig.raise(kRequired, 3);
    sidecar.answer(claim(0, 1, sidecar.geometry()),
                   inject_required(Rig::gpa(3), SiblingRule::none, otherwise));
    return rig.handle();
  }
  static void expect_end(const Rig& rig, Verdict verdict, Delivered delivered, Reason reason) {
    ASSERT_EQ(rig.incidents().size(), 1U);
    EXPECT_EQ(rig.incidents()[0].verdict, static_cast<int>(verdict));
    EXPECT_EQ(rig.incidents()[0].delivered, static_cast<int>(delivered));
    EXPECT_EQ(rig.incidents()[0].reason, static_cast<int>(reason));
    EXPECT_EQ(rig.incidents()[0].mce.bank, 9);
  }
};

TEST_F(EscalationTest, WhatKvmDropsEndsAsThePolicyHasIt) {
  for (const Verdict otherwise : {Verdict::reset, Verdict::pause}) {
    Rig rig;
    ASSERT_TRUE(rig.run_until(PORT_READY));
    rig.set_msr(reference::kMsrMcgCtl, 0);
    const int flag = otherwise == Verdict::reset ? MEMFAIL_DO_RESET : MEMFAIL_DO_PAUSE;
    EXPECT_EQ(inject_or(rig, otherwise), flag);
    expect_end(rig, otherwise, Delivered::dropped, Reason::mcg_ctl_off);
  }
}

TEST_F(EscalationTest, SoDoesATripleFaultBeforeTheVcpuShutsDown) {
  for (const Verdict otherwise : {Verdict::reset, Verdict::pause}) {
    Rig rig;
    ASSERT_TRUE(rig.run_until(PORT_READY));
    rig.set_cr4_mce(false);
    const int flag = otherwise == Verdict::reset ? MEMFAIL_DO_RESET : MEMFAIL_DO_PAUSE;
    EXPECT_EQ(inject_or(rig, otherwise), flag);
    expect_end(rig, otherwise, Delivered::triple_fault, Reason::triple_fault);
  }
}

// As QEMU: the shutdown that follows is the VMM's to see.
TEST_F(EscalationTest, NothingFollowsWhereThePolicyHasNothing) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  rig.set_cr4_mce(false);
  EXPECT_EQ(inject_or(rig, Verdict::ignore), MEMFAIL_RESUME);
  expect_end(rig, Verdict::inject, Delivered::triple_fault, Reason::guest_memory);
  EXPECT_FALSE(rig.run_until(PORT_RECOVERED)) << "KVM_EXIT_SHUTDOWN";
}

// The guest's double fault cannot be delivered: its stack or descriptors are on the page.
// KVM would make a shutdown of that and a machine check: none is tried.
TEST_F(EscalationTest, ARequiredOneOnTopOfADoubleFaultResetsTheGuest) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  reference::queue_exception(rig.fd(), kDoubleFault);
  rig.raise(kRequired, 3);
  EXPECT_EQ(rig.handle(), MEMFAIL_DO_RESET) << "decided by the built-in fallback";
  ASSERT_EQ(rig.incidents().size(), 1U);
  EXPECT_EQ(rig.incidents()[0].delivered, static_cast<int>(Delivered::none));
  EXPECT_EQ(rig.incidents()[0].reason, static_cast<int>(Reason::double_fault_queued));
}

// A sidecar that has it tried all the same, as QEMU would.
TEST_F(EscalationTest, AMachineCheckOnTopOfADoubleFaultResetsTheGuest) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  reference::queue_exception(rig.fd(), kDoubleFault);
  EXPECT_EQ(inject_or(rig, Verdict::reset), MEMFAIL_DO_RESET);
  expect_end(rig, Verdict::reset, Delivered::triple_fault, Reason::triple_fault);
}

// vCPU 1 is about to get a double fault when vCPU 0's broadcast comes to it.
TEST_F(EscalationTest, ASiblingWithADoubleFaultIsSkippedOrUnderQemusRuleAReset) {
  for (const SiblingRule rule : {SiblingRule::broadcast_ready, SiblingRule::broadcast_qemu}) {
    const bool ready = rule == SiblingRule::broadcast_ready;
    Rig rig(2);
    FakeSidecar& sidecar = rig.attach();
    reference::queue_exception(rig.fd(1), kDoubleFault);
    const shm::Claim incident = claim(0, 1, sidecar.geometry());
    rig.raise(kRequired, 3);
    sidecar.answer(incident, inject_required(Rig::gpa(3), rule));
    EXPECT_EQ(rig.handle(), MEMFAIL_RESUME);
    rig.run_posted(1);
    const auto outcome = sidecar.outcome(incident);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->verdict(), ready ? Verdict::inject : Verdict::reset);
    EXPECT_EQ(outcome->reason(), ready ? Reason::guest_memory : Reason::triple_fault);
    EXPECT_EQ(outcome->siblings_skipped(), 1U);
    EXPECT_EQ(rig.handle(1), ready ? MEMFAIL_RESUME : MEMFAIL_DO_RESET);
  }
}

}  // namespace
}  // namespace memfail::test
