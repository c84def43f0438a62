// SPDX-License-Identifier: BSD-3-Clause
//
// From a signal to the guest's own #MC handler, and what is read back on the way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sidecar/decision/types.h"
#include "tests/kvm/rig.h"

namespace memfail::test {
namespace {

using wire::DecidedBy;
using wire::Delivered;
using wire::Reason;
using wire::Verdict;

class InjectTest : public KvmTest {
 protected:
  // One AR at page 3 that the sidecar has answered with an injection.
  static wire::OutcomeLine inject_by_sidecar(Rig& rig, FakeSidecar& sidecar) {
    const shm::Claim first = claim(0, 1, sidecar.geometry());
    rig.raise(kRequired, 3);
    sidecar.answer(first, inject_required(Rig::gpa(3)));
    EXPECT_EQ(rig.handle(), MEMFAIL_RESUME);
    const auto outcome = sidecar.outcome(first);
    EXPECT_TRUE(outcome);
    return outcome.value_or(wire::OutcomeLine());
  }
};

void expect(const memfail_incident& incident, Verdict verdict, Delivered delivered, Reason reason,
            DecidedBy by = DecidedBy::builtin) {
  EXPECT_EQ(incident.verdict, static_cast<int>(verdict));
  EXPECT_EQ(incident.delivered, static_cast<int>(delivered));
  EXPECT_EQ(incident.reason, static_cast<int>(reason));
  EXPECT_EQ(incident.decided_by, static_cast<int>(by));
}

TEST_F(InjectTest, TheBuiltinFallbackReachesTheGuestsHandler) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  rig.raise(kRequired, 3);
  EXPECT_EQ(rig.handle(), MEMFAIL_RESUME);
  EXPECT_EQ(rig.bank_status(9), kIntelRequired);
  EXPECT_EQ(rig.msr(reference::kMsrMcgStatus), 7U);
  EXPECT_EQ(rig.queued(), 18);
  ASSERT_EQ(rig.incidents().size(), 1U);
  expect(rig.incidents()[0], Verdict::inject, Delivered::delivered, Reason::guest_memory);
  EXPECT_EQ(rig.incidents()[0].mce.addr, Rig::gpa(3));

  ASSERT_TRUE(rig.run_until(PORT_RECOVERED));
  ASSERT_EQ(rig.seen().size(), 1U);
  const auto seen = rig.seen()[0];
  EXPECT_EQ(seen.bank, 9U);
  EXPECT_EQ(seen.status, rig.incidents()[0].mce.status);
  EXPECT_EQ(seen.addr, Rig::gpa(3));
  EXPECT_EQ(seen.misc, 0x8CU);
  EXPECT_EQ(seen.mcg_status, 7U);
}

TEST_F(InjectTest, TheSidecarsVerdictIsReadBackAsDelivered) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  const auto outcome = inject_by_sidecar(rig, rig.attach());
  EXPECT_EQ(outcome.delivered(), Delivered::delivered);
  EXPECT_EQ(outcome.decided_by(), DecidedBy::sidecar);
  EXPECT_EQ(outcome.status(), kIntelRequired);
  EXPECT_EQ(outcome.bank(), 9U);
  EXPECT_EQ(outcome.gpa(), Rig::gpa(3));
  EXPECT_EQ(outcome.vcpu(), 0U);
  EXPECT_TRUE(rig.run_until(PORT_RECOVERED));
}

TEST_F(InjectTest, OverAValidBankTheOutcomeSaysWhatKvmMadeOfIt) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  FakeSidecar& sidecar = rig.attach();
  rig.set_msr(reference::kMsrMcgStatus, 0);
  inject_by_sidecar(rig, sidecar);
  ASSERT_TRUE(rig.run_until(PORT_MCG_STATUS));  // the handler runs; bank 9 is still VAL
  rig.set_msr(reference::kMsrMcgStatus, 0);
  const shm::Claim second = claim(0, 2, sidecar.geometry());
  rig.raise(kRequired, 4);
  sidecar.answer(second, inject_required(Rig::gpa(4)));
  rig.handle();
  const auto outcome = sidecar.outcome(second);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->delivered(), Delivered::delivered);
  EXPECT_EQ(outcome->status(), kIntelRequired | std::uint64_t{1} << 62);
}

TEST_F(InjectTest, WhatKvmDropsSilentlyIsReadBackAsDropped) {
  for (const bool bank : {false, true}) {
    Rig rig;
    ASSERT_TRUE(rig.run_until(PORT_READY));
    rig.set_msr(bank ? reference::kMsrMc0Ctl + 4 * 9 : reference::kMsrMcgCtl, 0);
    const auto outcome = inject_by_sidecar(rig, rig.attach());
    EXPECT_EQ(outcome.delivered(), Delivered::dropped);
    EXPECT_EQ(outcome.reason(), bank ? Reason::bank_ctl_off : Reason::mcg_ctl_off);
    EXPECT_EQ(rig.queued(), -1);
    EXPECT_EQ(rig.bank_status(9), 0U);
  }
}

TEST_F(InjectTest, WhatKvmDropsIsDroppedEvenWithMachineChecksOff) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  rig.set_msr(reference::kMsrMcgCtl, 0);
  rig.set_cr4_mce(false);
  EXPECT_EQ(inject_by_sidecar(rig, rig.attach()).delivered(), Delivered::dropped);
}

TEST_F(InjectTest, WithMachineChecksOffItIsATripleFault) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  rig.set_cr4_mce(false);
  EXPECT_EQ(inject_by_sidecar(rig, rig.attach()).delivered(), Delivered::triple_fault);
  EXPECT_FALSE(rig.run_until(PORT_RECOVERED)) << "KVM_EXIT_SHUTDOWN";
}

TEST_F(InjectTest, WithOneInProgressItIsATripleFault) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  rig.set_msr(reference::kMsrMcgStatus, 4);
  EXPECT_EQ(inject_by_sidecar(rig, rig.attach()).delivered(), Delivered::triple_fault);
}

TEST_F(InjectTest, OfTwoOutstandingTheRequiredOneGoesFirstAndTheOtherMeetsIt) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  own_lane = rig.lane();
  memfail_run_begin(rig.lane());
  raise_sigbus(kOptional, rig.hva(5));
  raise_sigbus(kRequired, rig.hva(3));
  EXPECT_EQ(memfail_run_end(rig.lane()), 1);
  EXPECT_EQ(rig.handle(), MEMFAIL_RESUME);
  ASSERT_EQ(rig.incidents().size(), 2U);
  EXPECT_EQ(rig.incidents()[0].hva, rig.hva(3));
  expect(rig.incidents()[0], Verdict::inject, Delivered::delivered, Reason::guest_memory);
  EXPECT_EQ(rig.incidents()[1].hva, rig.hva(5));
  expect(rig.incidents()[1], Verdict::ignore, Delivered::none, Reason::mce_pending);
  EXPECT_EQ(rig.bank_status(9), kIntelRequired);
  ASSERT_TRUE(rig.run_until(PORT_RECOVERED));
  EXPECT_EQ(rig.seen().size(), 1U);
}

TEST_F(InjectTest, AnOptionalOneIsDeliveredAsSuch) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  rig.raise(kOptional, 5);
  rig.handle();
  ASSERT_EQ(rig.incidents().size(), 1U);
  expect(rig.incidents()[0], Verdict::inject, Delivered::delivered, Reason::guest_memory);
  EXPECT_EQ(rig.bank_status(9), kIntelOptional);
  EXPECT_EQ(rig.msr(reference::kMsrMcgStatus), 5U);
}

TEST_F(InjectTest, TheBuiltinFallbackResetsAGuestThatIsNotReady) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  rig.set_cr4_mce(false);
  rig.raise(kRequired, 3);
  EXPECT_EQ(rig.handle(), MEMFAIL_DO_RESET);
  ASSERT_EQ(rig.incidents().size(), 1U);
  expect(rig.incidents()[0], Verdict::reset, Delivered::none, Reason::mce_not_enabled);
  EXPECT_EQ(rig.queued(), -1);
}

TEST_F(InjectTest, WithoutAFreeCellTheGuestIsStillTold) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  memfail_vm_running(rig.shim(), 0);
  for (std::uint64_t page = 0; page < 4; ++page) rig.raise(kOptional, page);
  rig.handle();
  memfail_vm_running(rig.shim(), 1);
  EXPECT_EQ(rig.queued(), -1);
  rig.raise(kRequired, 8);
  EXPECT_EQ(rig.handle(), MEMFAIL_RESUME);
  EXPECT_EQ(rig.queued(), 18);
  ASSERT_TRUE(rig.run_until(PORT_RECOVERED));
  ASSERT_EQ(rig.seen().size(), 1U);
  EXPECT_EQ(rig.seen()[0].addr, Rig::gpa(8));
}

TEST_F(InjectTest, TheVmmsOwnWayOfSettingIsUsedInsteadOfTheIoctl) {
  static int calls;
  calls = 0;
  Rig rig(1, [](memfail_config& config) {
    config.ops.set_mce = [](void* /*self*/, std::uint32_t vcpu, const memfail_mce* mce) {
      EXPECT_EQ(vcpu, 0U);
      EXPECT_EQ(mce->status, kIntelRequired);
      EXPECT_EQ(mce->bank, 9U);
      ++calls;
      return 0;  // and sets nothing
    };
  });
  ASSERT_TRUE(rig.run_until(PORT_READY));
  rig.raise(kRequired, 3);
  EXPECT_EQ(rig.handle(), MEMFAIL_DO_RESET) << "the access would come again without end";
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(rig.queued(), -1);
  ASSERT_EQ(rig.incidents().size(), 1U);
  expect(rig.incidents()[0], Verdict::reset, Delivered::dropped, Reason::dropped_by_kvm);
}

}  // namespace
}  // namespace memfail::test
