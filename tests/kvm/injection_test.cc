// SPDX-License-Identifier: BSD-3-Clause
//
// What operators ask, on real vCPUs: machine checks with QEMU's checks and branches, and
// drills down to the guest's own handler.
#include <gtest/gtest.h>

#include "tests/kvm/rig.h"

namespace memfail::test {
namespace {

using wire::DecidedBy;
using wire::Delivered;
using wire::OperatorRefusal;
using wire::Reason;
using wire::Verdict;

constexpr std::uint64_t kVal = std::uint64_t{1} << 63;

class OrderTest : public KvmTest {
 protected:
  static void allow(memfail_config& config) {
    config.allow = MEMFAIL_ALLOW_DRILLS | MEMFAIL_ALLOW_INJECTIONS;
  }
  static memfail_mce record(std::uint64_t status = kIntelRequired, std::uint8_t bank = 9) {
    return {status, Rig::gpa(3), 0x8C, 7, bank};
  }
  static FakeSidecar& attach(Rig& rig) {
    return rig.attach(MEMFAIL_ALLOW_DRILLS | MEMFAIL_ALLOW_INJECTIONS);
  }
  // The vCPU's thread, which is this one, comes round; what the sidecar hears.
  static FakeSidecar::OrderAnswer take(Rig& rig, FakeSidecar& sidecar, std::uint32_t vcpu = 0) {
    own_lane = rig.lane(vcpu);
    memfail_shim_dispatch(rig.shim());
    rig.run_posted(vcpu);
    memfail_shim_dispatch(rig.shim());
    const auto answer = sidecar.take_order_answer();
    EXPECT_TRUE(answer);
    return answer.value_or(FakeSidecar::OrderAnswer{});
  }
  static FakeSidecar::OrderAnswer inject(Rig& rig, FakeSidecar& sidecar, const memfail_mce& record,
                                         std::uint32_t vcpu = 0, bool broadcast = false) {
    sidecar.send_inject(record, vcpu, broadcast);
    return take(rig, sidecar, vcpu);
  }
  static wire::OutcomeLine outcome(const FakeSidecar& sidecar, std::uint64_t n = 1) {
    const auto line = sidecar.outcome(claim(0, n, sidecar.geometry()));
    EXPECT_TRUE(line);
    return line.value_or(wire::OutcomeLine());
  }
  static void expect(const wire::OutcomeLine& outcome, Verdict verdict, Delivered delivered,
                     Reason reason) {
    EXPECT_EQ(outcome.verdict(), verdict);
    EXPECT_EQ(outcome.delivered(), delivered);
    EXPECT_EQ(outcome.reason(), reason);
    EXPECT_EQ(outcome.decided_by(), DecidedBy::operator_request);
  }
};

TEST_F(OrderTest, AnInjectionReachesTheGuestsHandlerAndIsMarked) {
  Rig rig(1, allow);
  ASSERT_TRUE(rig.run_until(PORT_READY));
  FakeSidecar& sidecar = attach(rig);
  const auto answer = inject(rig, sidecar, record());
  EXPECT_EQ(answer.refusal, OperatorRefusal::none);
  EXPECT_EQ(answer.sequence, 1U);
  expect(outcome(sidecar), Verdict::inject, Delivered::delivered, Reason::operator_request);
  const auto report =
      sidecar.line<wire::ReportLine>(claim(0, 1, sidecar.geometry()), shm::LineKind::kReport);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->kind(), wire::ReportKind::injection);
  EXPECT_EQ(report->code(), kRequired) << "the record has the AR bit";
  ASSERT_EQ(rig.incidents().size(), 1U);
  EXPECT_EQ(rig.incidents()[0].drill, 2);
  EXPECT_EQ(rig.handle(), MEMFAIL_RESUME) << "there is nothing left to handle";
  ASSERT_TRUE(rig.run_until(PORT_RECOVERED));
  ASSERT_EQ(rig.seen().size(), 1U);
  EXPECT_EQ(rig.seen()[0].status, kIntelRequired);
  EXPECT_EQ(rig.seen()[0].addr, Rig::gpa(3));
}

TEST_F(OrderTest, WhatQemuRefusesIsRefused) {
  Rig rig(1, [](memfail_config& config) {
    allow(config);
    config.vendor = MEMFAIL_VENDOR_AMD;
  });
  FakeSidecar& sidecar = attach(rig);
  const auto bank = inject(rig, sidecar, record(kIntelRequired, 10));
  EXPECT_EQ(bank.refusal, OperatorRefusal::bank);
  EXPECT_EQ(bank.value, 10U);
  EXPECT_EQ(bank.limit, 9U);
  EXPECT_EQ(inject(rig, sidecar, record(kIntelRequired & ~kVal)).refusal, OperatorRefusal::status);
  EXPECT_EQ(inject(rig, sidecar, record(), 0, true).refusal, OperatorRefusal::no_broadcast);
  EXPECT_EQ(rig.queued(), -1);
  EXPECT_TRUE(rig.incidents().empty());
}

TEST_F(OrderTest, ARecordOfMemoryThatTheGuestDoesNotHaveIsRefused) {
  constexpr std::uint64_t kMiscv = std::uint64_t{1} << 59;
  constexpr std::uint64_t kNowhere = std::uint64_t{1} << 40;
  Rig rig(1, allow);
  FakeSidecar& sidecar = attach(rig);
  memfail_mce outside = record();
  outside.addr = kNowhere;
  const auto answer = inject(rig, sidecar, outside);
  EXPECT_EQ(answer.refusal, OperatorRefusal::not_in_ram);
  EXPECT_EQ(answer.value, kNowhere);
  EXPECT_TRUE(rig.incidents().empty());
  outside.status &= ~kMiscv;  // which address that is, is not said
  EXPECT_EQ(inject(rig, sidecar, outside).refusal, OperatorRefusal::none);
  ASSERT_EQ(rig.incidents().size(), 1U);
}

TEST_F(OrderTest, AVcpuThatHasNotStartedGetsNeither) {
  Rig rig(2, allow);
  FakeSidecar& sidecar = attach(rig);
  rig.set_started(false, 1);
  EXPECT_EQ(inject(rig, sidecar, record(), 1).refusal, OperatorRefusal::vcpu_not_started);
  sidecar.send_drill(Rig::gpa(3), wire::DrillKind::action_required, 1);
  EXPECT_EQ(take(rig, sidecar, 1).refusal, OperatorRefusal::vcpu_not_started);
  EXPECT_TRUE(rig.incidents().empty());
}

// In SMM CR4.MCE reads 0, whatever the guest has: neither a reset nor an injection is right.
TEST_F(OrderTest, AVcpuInSmmIsNotReady) {
  Rig rig(1, allow);
  ASSERT_TRUE(rig.run_until(PORT_READY));
  FakeSidecar& sidecar = attach(rig);
  rig.set_cr4_mce(false);
  if (!rig.enter_smm()) GTEST_SKIP() << "this KVM has no SMM: NOTHING WAS TESTED";
  EXPECT_EQ(inject(rig, sidecar, record()).refusal, OperatorRefusal::vcpu_unready);
  EXPECT_TRUE(rig.incidents().empty());
}

TEST_F(OrderTest, AGuestThatHasSwitchedItOffIsToldNothing) {
  for (const bool bank : {false, true}) {
    Rig rig(1, allow);
    ASSERT_TRUE(rig.run_until(PORT_READY));
    FakeSidecar& sidecar = attach(rig);
    rig.set_msr(bank ? reference::kMsrMc0Ctl + 4 * 9 : reference::kMsrMcgCtl, 0);
    EXPECT_EQ(inject(rig, sidecar, record()).refusal, OperatorRefusal::none);
    expect(outcome(sidecar), Verdict::ignore, Delivered::none,
           bank ? Reason::bank_ctl_off : Reason::mcg_ctl_off);
    EXPECT_EQ(rig.queued(), -1);
  }
}

TEST_F(OrderTest, AGuestThatCannotTakeItIsReset) {
  for (const bool in_progress : {false, true}) {
    Rig rig(1, allow);
    ASSERT_TRUE(rig.run_until(PORT_READY));
    FakeSidecar& sidecar = attach(rig);
    if (in_progress) rig.set_msr(reference::kMsrMcgStatus, 4);
    if (!in_progress) rig.set_cr4_mce(false);
    EXPECT_EQ(inject(rig, sidecar, record(kIntelOptional)).refusal, OperatorRefusal::none);
    expect(outcome(sidecar), Verdict::reset, Delivered::none,
           in_progress ? Reason::previous_mce_in_progress : Reason::mce_not_enabled);
    EXPECT_EQ(rig.handle(), MEMFAIL_DO_RESET);
  }
}

TEST_F(OrderTest, ABroadcastTellsTheOthersOnTheirOwnThreads) {
  Rig rig(2, allow);
  FakeSidecar& sidecar = attach(rig);
  EXPECT_EQ(inject(rig, sidecar, record(), 0, true).refusal, OperatorRefusal::none);
  EXPECT_EQ(rig.run_posted(1), 1U);
  EXPECT_EQ(rig.bank_status(1, 1), kSiblingStatus);
  EXPECT_EQ(outcome(sidecar).siblings_told(), 1U);
}

TEST_F(OrderTest, ADrillIsToldAndLeavesThePageAlone) {
  Rig rig(1, allow);
  ASSERT_TRUE(rig.run_until(PORT_READY));
  FakeSidecar& sidecar = attach(rig);
  auto& word = *reinterpret_cast<volatile std::uint32_t*>(rig.hva(3));
  word = 0x600D;
  sidecar.send_drill(Rig::gpa(3), wire::DrillKind::action_required);
  EXPECT_EQ(take(rig, sidecar).refusal, OperatorRefusal::none);
  sidecar.answer(claim(0, 1, sidecar.geometry()), inject_required(Rig::gpa(3)));
  EXPECT_EQ(rig.handle(), MEMFAIL_RESUME);
  EXPECT_EQ(outcome(sidecar).delivered(), Delivered::delivered);
  ASSERT_TRUE(rig.run_until(PORT_RECOVERED));
  EXPECT_EQ(memfail_guest_reset(rig.shim()), 0);
  EXPECT_EQ(word, 0x600DU);
}

TEST_F(OrderTest, ADrillThatIsToldLaterIsStillOne) {
  Rig rig(1, allow);
  ASSERT_TRUE(rig.run_until(PORT_READY));
  FakeSidecar& sidecar = attach(rig);
  rig.set_msr(reference::kMsrMcgCtl, 0);
  sidecar.send_drill(Rig::gpa(3), wire::DrillKind::action_optional);
  EXPECT_EQ(take(rig, sidecar).refusal, OperatorRefusal::none);
  sidecar.answer(claim(0, 1, sidecar.geometry()),
                 verdict_only(Verdict::ignore, Reason::mcg_ctl_off, Rig::gpa(3)));
  rig.handle();
  rig.set_msr(reference::kMsrMcgCtl, ~std::uint64_t{0});
  sidecar.answer(claim(0, 2, sidecar.geometry()), inject_optional(Rig::gpa(3)));
  rig.handle();
  const auto report =
      sidecar.line<wire::ReportLine>(claim(0, 2, sidecar.geometry()), shm::LineKind::kReport);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->kind(), wire::ReportKind::remembered);
  EXPECT_EQ(report->drill(), 1);
  EXPECT_EQ(outcome(sidecar, 2).delivered(), Delivered::delivered);
}

}  // namespace
}  // namespace memfail::test
