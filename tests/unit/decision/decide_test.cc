// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/decide.h"

#include <gtest/gtest.h>

#include "rule_table.h"

namespace memfail::decision {
namespace {

using wire::ReportKind;
using wire::ThreadKind;

TEST(NeedsSnapshot, NeverWhenAnAccessOutsideTheGuestCannotBeResumed) {
  for (const auto thread : {ThreadKind::none, ThreadKind::vcpu_outside, ThreadKind::other}) {
    EXPECT_FALSE(needs_snapshot(ReportKind::sigbus, thread, Severity::kActionRequired));
    EXPECT_TRUE(needs_snapshot(ReportKind::sigbus, thread, Severity::kActionOptional));
  }
}

TEST(NeedsSnapshot, WhenTheGuestItselfMetThePage) {
  EXPECT_TRUE(
      needs_snapshot(ReportKind::sigbus, ThreadKind::vcpu_in_run, Severity::kActionRequired));
  EXPECT_TRUE(needs_snapshot(ReportKind::memory_fault_exit, ThreadKind::vcpu_in_run,
                             Severity::kActionRequired));
}

TEST(NeedsSnapshot, NeverForWhatIsDecidedWithoutOne) {
  for (const auto thread : wire::EnumValuesThreadKind()) {
    for (const auto severity :
         {Severity::kNone, Severity::kActionRequired, Severity::kActionOptional}) {
      EXPECT_FALSE(needs_snapshot(ReportKind::mmio_exit, thread, severity));
      EXPECT_FALSE(needs_snapshot(ReportKind::none, thread, severity));
    }
    EXPECT_FALSE(needs_snapshot(ReportKind::sigbus, thread, Severity::kNone));
  }
}

TEST(NeedsSnapshot, NotForWhatIsOnlyRememberedWhileTheVmDoesNotRun) {
  EXPECT_FALSE(
      needs_snapshot(ReportKind::sigbus, ThreadKind::other, Severity::kActionOptional, false));
  EXPECT_TRUE(needs_snapshot(ReportKind::sigbus, ThreadKind::vcpu_in_run, Severity::kActionRequired,
                             false));
}

// What needs none must come out the same whatever a snapshot would say.
TEST(NeedsSnapshot, IsTrueWhereverTheSnapshotChangesTheDecision) {
  testing::for_every_combination({4, 4, 3, 2}, [](const std::vector<std::uint32_t>& v) {
    Input input;
    input.guest.mcg_cap_configured = 0x100010A;
    input.where.address = AddressClass::kGuestRam;
    input.where.gpa = 0x1000;
    input.kind = static_cast<ReportKind>(v[0]);
    input.thread = static_cast<ThreadKind>(v[1]);
    input.severity = static_cast<Severity>(v[2]);
    input.vm_running = v[3] != 0;
    const bool undecided =
        decide({.policy = Policy::kQemu}, input).reason == wire::Reason::no_snapshot;
    EXPECT_EQ(needs_snapshot(input.kind, input.thread, input.severity, input.vm_running),
              undecided);
  });
}

}  // namespace
}  // namespace memfail::decision
