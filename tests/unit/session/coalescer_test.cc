// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/coalescer.h"

#include <functional>

#include "gtest/gtest.h"
#include "page_report.h"

namespace memfail::session {
namespace {

using test::outcome_of;
using test::report_of;
using wire::Delivered;
using wire::Verdict;

constexpr std::uint64_t kWindow = 10 * kSecondNs;

class CoalescerTest : public ::testing::Test {
 protected:
  // The count of the incident's own event; 0: it has none.
  std::uint64_t admit(std::uint64_t second, const PageOutcome& outcome) {
    const Admission admission =
        coalescer_.admit(*page_number(outcome.report.where), outcome, second * kSecondNs, kWindow);
    EXPECT_EQ(admission.publish, admission.count != 0);
    return admission.count;
  }

  // The count of the next event that is due; 0: none is.
  std::uint64_t due(std::uint64_t second) {
    const auto repeats = coalescer_.take_due(second * kSecondNs, kWindow);
    last_ = repeats.value_or(Repeats{});
    return last_.count;
  }

  Coalescer coalescer_{4};
  Repeats last_;
  PageOutcome told_ = outcome_of(report_of(0x1000));
};

TEST_F(CoalescerTest, TheFirstIsPublishedAndTheNextAreHeld) {
  EXPECT_EQ(admit(100, told_), 1U);
  EXPECT_EQ(admit(100, told_), 0U);
  EXPECT_EQ(admit(109, told_), 0U);
  EXPECT_EQ(due(109), 0U);
}

TEST_F(CoalescerTest, TheNextAfterTheWindowCountsForAll) {
  admit(100, told_);
  admit(101, told_);
  admit(109, told_);
  EXPECT_EQ(admit(110, told_), 3U);
  EXPECT_EQ(admit(119, told_), 0U);  // a window of its own
  EXPECT_EQ(admit(120, told_), 2U);
}

TEST_F(CoalescerTest, WhenTheWindowIsOverWhatIsHeldIsDueByItself) {
  admit(100, told_);
  admit(101, told_);
  admit(102, told_);
  EXPECT_EQ(due(109), 0U);
  EXPECT_EQ(due(110), 2U);
  EXPECT_EQ(last_.outcome.report.where.gpa, 0x1000U);
  EXPECT_EQ(last_.outcome.verdict, Verdict::inject);
  EXPECT_EQ(due(110), 0U);
  EXPECT_EQ(admit(111, told_), 1U);
}

TEST_F(CoalescerTest, AWindowInWhichNothingWasHeldEndsSilently) {
  admit(100, told_);
  EXPECT_EQ(due(110), 0U);
  EXPECT_EQ(admit(110, told_), 1U);
}

TEST_F(CoalescerTest, AtTheEndAllIsDue) {
  admit(100, told_);
  admit(101, told_);
  EXPECT_EQ(coalescer_.take_due(~std::uint64_t{0}, kWindow)->count, 1U);
}

TEST_F(CoalescerTest, AnotherOutcomeComesAfterWhatWasHeld) {
  const PageOutcome dropped = outcome_of(report_of(0x1000), Verdict::inject, Delivered::dropped);
  admit(100, told_);
  admit(101, told_);
  admit(102, told_);
  EXPECT_EQ(admit(103, dropped), 1U);
  EXPECT_EQ(due(103), 2U);
  EXPECT_EQ(last_.outcome.delivered, Delivered::delivered);
  EXPECT_EQ(due(103), 0U);
}

TEST_F(CoalescerTest, SoItDoesWhenItsOwnKindComesAgain) {
  const PageOutcome dropped = outcome_of(report_of(0x1000), Verdict::inject, Delivered::dropped);
  admit(100, told_);
  admit(105, dropped);
  admit(106, dropped);
  EXPECT_EQ(admit(110, told_), 1U);
  EXPECT_EQ(due(110), 1U);
  EXPECT_EQ(last_.outcome.delivered, Delivered::dropped);
  EXPECT_EQ(admit(119, dropped), 0U);  // that count was an event: its window began anew
}

// Else a guest that gets two answers in turn would have an event for each.
TEST_F(CoalescerTest, OutcomesThatAlternateAreHeldBoth) {
  const PageOutcome again = outcome_of(report_of(0x1000), Verdict::retry, Delivered::none);
  EXPECT_EQ(admit(100, told_), 1U);
  EXPECT_EQ(admit(100, again), 1U);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(admit(101, told_), 0U);
    EXPECT_EQ(admit(101, again), 0U);
  }
  EXPECT_EQ(due(110), 50U);
  EXPECT_EQ(due(110), 50U);
  EXPECT_EQ(due(110), 0U);
}

TEST_F(CoalescerTest, WhatDiffersIsNotTheSame) {
  const std::function<void(PageOutcome&)> changes[] = {
      [](PageOutcome& one) { one.report = report_of(0x2000); },
      [](PageOutcome& one) { one.vcpu = 1; },
      [](PageOutcome& one) { one.vcpu = -1; },
      [](PageOutcome& one) { one.verdict = Verdict::ignore; },
      [](PageOutcome& one) { one.reason = wire::Reason::mce_pending; },
      [](PageOutcome& one) { one.delivered = Delivered::unverified; },
      [](PageOutcome& one) { one.report.severity = decision::Severity::kActionOptional; },
      [](PageOutcome& one) { one.report.guest_epoch = 1; },
      [](PageOutcome& one) { one.report.drill = true; },
  };
  for (const auto& change : changes) {
    Coalescer fresh(4);
    PageOutcome other = told_;
    change(other);
    EXPECT_TRUE(fresh.admit(*page_number(told_.report.where), told_, 0, kWindow).publish);
    EXPECT_TRUE(fresh.admit(*page_number(other.report.where), other, 0, kWindow).publish);
  }
}

TEST_F(CoalescerTest, ThePlaceInsideThePageIsNoDifference) {
  admit(100, outcome_of(report_of(0x1000)));
  EXPECT_EQ(admit(100, outcome_of(report_of(0x1ff8))), 0U);
}

TEST_F(CoalescerTest, WhatStopsTheGuestIsNeverHeld) {
  for (const Verdict verdict : {Verdict::reset, Verdict::pause, Verdict::abort}) {
    const PageOutcome stop = outcome_of(report_of(0x1000), verdict, Delivered::none);
    EXPECT_EQ(admit(100, stop), 1U);
    EXPECT_EQ(admit(100, stop), 1U);
  }
}

TEST_F(CoalescerTest, WhatIsHeldComesBeforeTheReset) {
  admit(100, told_);
  admit(101, told_);
  EXPECT_EQ(admit(102, outcome_of(report_of(0x1000), Verdict::reset, Delivered::none)), 1U);
  EXPECT_EQ(due(102), 1U);
}

TEST_F(CoalescerTest, AFullTableGivesUpTheOldestAndItsCount) {
  admit(100, told_);
  admit(100, told_);
  for (std::uint64_t page = 2; page <= 5; ++page) {
    EXPECT_EQ(admit(101, outcome_of(report_of(page * 0x1000))), 1U);
  }
  EXPECT_EQ(due(101), 1U);
  EXPECT_EQ(last_.outcome.report.where.gpa, 0x1000U);
  EXPECT_EQ(admit(101, told_), 1U);  // a first one again
}

}  // namespace
}  // namespace memfail::session
