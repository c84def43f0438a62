// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/decision/decide.h"

#include <gtest/gtest.h>

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

// What needs none must come out the same whatever a snapshot would say.
TEST(NeedsSnapshot, IsTrueWhereverTheSnapshotChangesTheDecision) {
  for (const auto kind : wire::EnumValuesReportKind()) {
    for (const auto thread : wire::EnumValuesThreadKind()) {
      for (const auto severity :
           {Severity::kNone, Severity::kActionRequired, Severity::kActionOptional}) {
        Input input;
        input.guest.mcg_cap_configured = 0x100010A;
        input.where.address = AddressClass::kGuestRam;
        input.where.gpa = 0x1000;
        input.kind = kind;
        input.thread = thread;
        input.severity = severity;
        const bool undecided = decide(Policy::kQemu, input).reason == wire::Reason::no_snapshot;
        EXPECT_EQ(needs_snapshot(kind, thread, severity), undecided);
      }
    }
  }
}

}  // namespace
}  // namespace memfail::decision
