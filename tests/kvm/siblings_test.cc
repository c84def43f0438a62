// SPDX-License-Identifier: BSD-3-Clause
//
// Broadcast on real vCPUs. The test's thread is every vCPU's in turn: it decides when
// each gets to what was posted to it.
#include <gtest/gtest.h>
#include <poll.h>

#include "tests/kvm/rig.h"

namespace memfail::test {
namespace {

using wire::Delivered;
using wire::Reason;
using wire::SiblingRule;
using wire::Verdict;

class SiblingsTest : public KvmTest {
 protected:
  // Incident n of vCPU 0, which the sidecar has broadcast by `rule`.
  static shm::Claim broadcast(Rig& rig, FakeSidecar& sidecar, std::uint64_t n, SiblingRule rule) {
    const shm::Claim incident = claim(0, n, sidecar.geometry());
    rig.raise(kRequired, 3);
    sidecar.answer(incident, inject_required(Rig::gpa(3), rule));
    EXPECT_EQ(rig.handle(), MEMFAIL_RESUME);
    return incident;
  }
  static bool dispatch_until_outcome(const Rig& rig, const FakeSidecar& sidecar,
                                     const shm::Claim& incident) {
    for (int turn = 0; turn < 1000; ++turn) {
      memfail_shim_dispatch(rig.shim());
      if (sidecar.outcome(incident)) return true;
      pollfd wait{memfail_shim_fd(rig.shim()), POLLIN, 0};
      if (::poll(&wait, 1, 5000) != 1) return false;
    }
    return false;
  }
};

TEST_F(SiblingsTest, AreToldOnTheirOwnThreadsAndJoinTheOutcome) {
  Rig rig(3);
  FakeSidecar& sidecar = rig.attach();
  const auto incident = broadcast(rig, sidecar, 1, SiblingRule::broadcast_ready);
  EXPECT_FALSE(sidecar.outcome(incident)) << "two are still to answer";
  EXPECT_EQ(rig.run_posted(1), 1U);
  EXPECT_EQ(rig.bank_status(1, 1), kSiblingStatus);
  EXPECT_EQ(rig.msr(reference::kMsrMcgStatus, 1), 5U);
  EXPECT_EQ(rig.queued(1), 18);
  EXPECT_FALSE(sidecar.outcome(incident));
  EXPECT_EQ(rig.run_posted(2), 1U);
  const auto outcome = sidecar.outcome(incident);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->verdict(), Verdict::inject);
  EXPECT_EQ(outcome->delivered(), Delivered::delivered);
  EXPECT_EQ(outcome->siblings_told(), 2U);
  EXPECT_EQ(outcome->siblings_skipped(), 0U);
  EXPECT_EQ(rig.incidents().size(), 1U);
}

TEST_F(SiblingsTest, TheBuiltinFallbackBroadcastsForIntel) {
  Rig rig(2);
  rig.raise(kRequired, 3);
  rig.handle();
  EXPECT_TRUE(rig.incidents().empty());
  EXPECT_EQ(rig.run_posted(1), 1U);
  EXPECT_EQ(rig.incidents().size(), 1U);
  EXPECT_EQ(rig.queued(1), 18);
}

TEST_F(SiblingsTest, ThatCannotTakeItAreSkippedAndCounted) {
  Rig rig(4);
  FakeSidecar& sidecar = rig.attach();
  rig.set_cr4_mce(false, 1);
  rig.set_msr(reference::kMsrMcgStatus, 4, 2);
  const auto incident = broadcast(rig, sidecar, 1, SiblingRule::broadcast_ready);
  for (std::uint32_t vcpu = 1; vcpu < 4; ++vcpu) rig.run_posted(vcpu);
  const auto outcome = sidecar.outcome(incident);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->siblings_told(), 1U);
  EXPECT_EQ(outcome->siblings_skipped(), 2U);
  EXPECT_EQ(rig.queued(1), -1);
}

TEST_F(SiblingsTest, OneThatNeverRunsDoesNotHoldTheOutcomeBeyondTheDeadline) {
  Rig rig(3, [](memfail_config& config) { config.deadline_ms = 100; });
  FakeSidecar& sidecar = rig.attach();
  const auto incident = broadcast(rig, sidecar, 1, SiblingRule::broadcast_ready);
  rig.run_posted(1);
  ASSERT_TRUE(dispatch_until_outcome(rig, sidecar, incident));
  const auto outcome = sidecar.outcome(incident);
  EXPECT_EQ(outcome->siblings_told(), 1U);
  EXPECT_EQ(outcome->siblings_skipped(), 1U) << "the one that did not answer";
  EXPECT_EQ(rig.incidents().size(), 1U);
  EXPECT_EQ(rig.run_posted(2), 1U);  // at last
  EXPECT_EQ(rig.queued(2), 18) << "late for the outcome, not for the guest";
  EXPECT_EQ(rig.incidents().size(), 1U) << "never a second event";
}

TEST_F(SiblingsTest, ALateOneDoesNotCountForTheCellsNextIncident) {
  Rig rig(3, [](memfail_config& config) { config.deadline_ms = 100; });
  FakeSidecar& sidecar = rig.attach();
  rig.set_cr4_mce(false, 2);
  const auto first = broadcast(rig, sidecar, 1, SiblingRule::broadcast_qemu);
  rig.run_posted(1);
  const auto late = rig.take_posted(2);
  ASSERT_EQ(late.size(), 1U);
  ASSERT_TRUE(dispatch_until_outcome(rig, sidecar, first));
  sidecar.retire(first);
  for (std::uint64_t n = 2; n <= 4; ++n) {
    rig.recover();
    sidecar.retire(broadcast(rig, sidecar, n, SiblingRule::none));
  }
  rig.recover();
  rig.recover(1);
  const auto fifth = broadcast(rig, sidecar, 5, SiblingRule::broadcast_ready);
  ASSERT_EQ(fifth.id, first.id);
  late[0].function(late[0].argument);  // ends in a reset, of the first
  rig.run_posted(1);
  rig.run_posted(2);
  const auto outcome = sidecar.outcome(fifth);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->verdict(), Verdict::inject);
  EXPECT_EQ(outcome->siblings_told(), 1U);
  EXPECT_EQ(outcome->siblings_skipped(), 1U);
}

TEST_F(SiblingsTest, UnderQemusRuleOneWithMachineChecksOffResetsTheGuest) {
  Rig rig(2);
  FakeSidecar& sidecar = rig.attach();
  rig.set_cr4_mce(false, 1);
  const auto incident = broadcast(rig, sidecar, 1, SiblingRule::broadcast_qemu);
  rig.run_posted(1);
  const auto outcome = sidecar.outcome(incident);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->verdict(), Verdict::reset);
  EXPECT_EQ(outcome->reason(), Reason::mce_not_enabled);
  EXPECT_EQ(outcome->vcpu(), 1U);
  memfail_run_begin(rig.lane(1));
  EXPECT_EQ(memfail_run_end(rig.lane(1)), 1) << "that vCPU has to tell its VMM";
  EXPECT_EQ(rig.handle(1), MEMFAIL_DO_RESET);
  EXPECT_EQ(rig.handle(1), MEMFAIL_RESUME) << "once";
  EXPECT_EQ(rig.handle(0), MEMFAIL_RESUME);
}

TEST_F(SiblingsTest, OfAGuestThatWasResetMeanwhileAreLeftAlone) {
  Rig rig(2);
  FakeSidecar& sidecar = rig.attach();
  const auto incident = broadcast(rig, sidecar, 1, SiblingRule::broadcast_qemu);
  memfail_guest_reset(rig.shim());
  rig.set_cr4_mce(false, 1);  // as firmware finds it
  rig.run_posted(1);
  EXPECT_EQ(rig.queued(1), -1);
  EXPECT_EQ(rig.handle(1), MEMFAIL_RESUME) << "no second reset";
  ASSERT_TRUE(sidecar.outcome(incident));
  EXPECT_EQ(sidecar.outcome(incident)->siblings_skipped(), 1U);
}

TEST_F(SiblingsTest, EightIncidentsDeepTheNinthSkipsAVcpuThatNeverRuns) {
  Rig rig(2, [](memfail_config& config) { config.deadline_ms = 100; });
  FakeSidecar& sidecar = rig.attach();
  for (std::uint64_t n = 1; n <= 9; ++n) {
    const auto incident = broadcast(rig, sidecar, n, SiblingRule::broadcast_ready);
    rig.recover();
    ASSERT_TRUE(n == 9 || dispatch_until_outcome(rig, sidecar, incident)) << n;
    sidecar.retire(incident);
  }
  const auto ninth = sidecar.outcome(claim(0, 9, sidecar.geometry()));
  ASSERT_TRUE(ninth);
  EXPECT_EQ(ninth->siblings_skipped(), 1U);
  EXPECT_EQ(rig.take_posted(1).size(), 8U);
}

}  // namespace
}  // namespace memfail::test
