// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/poison_table.h"

#include "poison_table_fixture.h"

namespace memfail::session {
namespace {

using decision::Severity;
using test::as_drill;
using test::by_vcpu;
using test::in_life;
using test::kGiant;
using test::kHuge;
using test::kRamHva;
using test::kSmall;
using test::optional_report;
using test::outcome_of;
using test::PoisonTableTest;
using test::report_of;
using test::second;
using wire::Delivered;
using wire::Verdict;

constexpr std::uint64_t kNone = wire::kNoAddress;

// ---- known ------------------------------------------------------------------------

TEST_F(PoisonTableTest, APageIsKnownFromItsFirstReportOn) {
  const PageReport report = report_of(0x5000);
  EXPECT_FALSE(history(report).known);
  EXPECT_TRUE(note(report));
  EXPECT_TRUE(history(report).known);
  EXPECT_FALSE(note(report));
  EXPECT_FALSE(history(report_of(0x4000)).known);
  EXPECT_FALSE(history(report_of(0x6000)).known);
}

TEST_F(PoisonTableTest, ALossNamesItsPlaceItsTimesAndItsReports) {
  note(optional_report(0x40'3000, kHuge), 100);
  note(report_of(0x40'7123, kHuge), 250);
  EXPECT_EQ(loss().range.hva(), kRamHva + 0x40'0000);
  EXPECT_EQ(loss().range.bytes(), kHuge);
  EXPECT_EQ(loss().gpa, 0x40'0000U);
  EXPECT_EQ(loss().reports, 2U);
  EXPECT_EQ(loss().first_us, second(100).realtime_us);
  EXPECT_EQ(loss().last_us, second(250).realtime_us);
}

TEST_F(PoisonTableTest, WhatBreaksIsTheWholeBackingPage) {
  struct Row {
    std::uint64_t size, reported, inside, outside;
  };
  const Row rows[] = {
      {kSmall, 0x5000, 0x5fff, 0x6000},
      {kHuge, 0x40'0000, 0x5f'ffff, 0x60'0000},
      {kHuge, 0x5f'f000, 0x40'0000, 0x3f'ffff},
      {kGiant, 0x4000'0000, 0x7fff'ffff, 0x8000'0000},
  };
  for (const Row& row : rows) {
    table_ = PoisonTable({.losses = 4, .pages = 8, .repeats = 16});
    note(optional_report(row.reported, row.size));
    EXPECT_TRUE(history(report_of(row.inside, row.size)).known);
    EXPECT_FALSE(history(report_of(row.outside, row.size)).known);
    EXPECT_TRUE(note(report_of(row.inside, row.size)) || row.size == kSmall);
    EXPECT_EQ(table_.broken().size(), 1U);
  }
}

TEST_F(PoisonTableTest, ALaterReportOfFourKibInsideIsTheSameLoss) {
  note(optional_report(0x40'0000, kHuge));
  note(report_of(0x40'5000, kSmall));
  EXPECT_EQ(loss().range.bytes(), kHuge);
  EXPECT_EQ(loss().reports, 2U);
}

TEST_F(PoisonTableTest, ALaterReportOfAHugePageTakesTheSmallOnesIn) {
  note(report_of(0x40'5000), 100);
  note(report_of(0x5f'f000), 200);
  note(report_of(0x60'0000), 300);
  tell(report_of(0x40'5000));
  note(optional_report(0x40'5000, kHuge), 400);
  ASSERT_EQ(table_.broken().size(), 2U);
  const Loss& huge = table_.broken().begin()->second;
  EXPECT_EQ(huge.range.bytes(), kHuge);
  EXPECT_EQ(huge.gpa, 0x40'0000U);
  EXPECT_EQ(huge.reports, 3U);
  EXPECT_EQ(huge.first_us, second(100).realtime_us);
  EXPECT_EQ(huge.last_us, second(400).realtime_us);
  EXPECT_TRUE(history(report_of(0x40'5000)).guest_told);
}

TEST_F(PoisonTableTest, WhatIsNoHardwareErrorOrHasNoAddressLeavesNoTrace) {
  PageReport nowhere = report_of(0);
  nowhere.where = {};
  nowhere.where.address = decision::AddressClass::kNoAddress;
  EXPECT_FALSE(note(nowhere));
  EXPECT_FALSE(note(report_of(0x5000, kSmall, Severity::kNone)));
  EXPECT_TRUE(table_.broken().empty());
  EXPECT_FALSE(history(nowhere).known);
  EXPECT_EQ(history(nowhere).repeats, 1U);
  EXPECT_EQ(history(report_of(0x5000, kSmall, Severity::kNone)).repeats, 0U);
}

TEST_F(PoisonTableTest, MemoryOfTheVmmHasNoGuestAddress) {
  PageReport report = report_of(0);
  report.where.address = decision::AddressClass::kVmmMemory;
  report.where.gpa = kNone;
  note(report);
  EXPECT_EQ(loss().gpa, kNone);
  EXPECT_EQ(loss().range.hva(), kRamHva);
}

TEST_F(PoisonTableTest, MemoryWithoutAHostAddressIsKnownByItsGuestAddress) {
  PageReport report = report_of(0x40'5000, kHuge);
  report.where.hva = kNone;
  note(report);
  EXPECT_TRUE(history(report).known);
  EXPECT_EQ(loss().range.hva(), kNone);
  EXPECT_EQ(loss().gpa, 0x40'0000U);
  report.where.hva = 0x40'5000;  // the same number, but a host address
  EXPECT_FALSE(history(report).known);
}

// A region need not begin at a boundary of its backing pages.
TEST_F(PoisonTableTest, ABackingPageThatBeginsBelowGuestAddressZeroHasNone) {
  PageReport report = report_of(0x1000, kHuge);
  report.where.hva = kRamHva + kHuge - 0x1000;
  note(report);
  EXPECT_EQ(loss().gpa, kNone);
}

TEST_F(PoisonTableTest, IsADrillUntilSomethingElseSpeaksOfIt) {
  note(as_drill(report_of(0x5000)));
  EXPECT_TRUE(loss().drill);
  note(report_of(0x5000));
  EXPECT_FALSE(loss().drill);
  note(as_drill(report_of(0x5000)));
  EXPECT_FALSE(loss().drill);
}

TEST_F(PoisonTableTest, WhatTheGuestWasToldByADrillIsNotKnownOfTheRealFailure) {
  const PageReport drill = as_drill(report_of(0x5000));
  note(drill);
  tell(drill);
  EXPECT_TRUE(history(drill).guest_told);
  EXPECT_FALSE(history(report_of(0x5000)).known);
  EXPECT_FALSE(history(report_of(0x5000)).guest_told);
  EXPECT_TRUE(note(report_of(0x5000))) << "it is news";
  EXPECT_FALSE(history(report_of(0x5000)).guest_told);
  EXPECT_EQ(loss().reports, 1U);
}

// ---- told -------------------------------------------------------------------------

TEST_F(PoisonTableTest, TheGuestIsToldWhenARecordWasDelivered) {
  constexpr Verdict kVerdicts[] = {Verdict::none,  Verdict::inject, Verdict::inject_deferred,
                                   Verdict::retry, Verdict::ignore, Verdict::reset,
                                   Verdict::pause, Verdict::abort};
  constexpr Delivered kDelivered[] = {
      Delivered::none,       Delivered::delivered, Delivered::dropped, Delivered::triple_fault,
      Delivered::unverified, Delivered::stale,     Delivered::failed,  Delivered::unknown};
  for (const Verdict verdict : kVerdicts) {
    for (const Delivered delivered : kDelivered) {
      table_ = PoisonTable({.losses = 4, .pages = 8, .repeats = 16});
      note(report_of(0x5000));
      table_.note_outcome(outcome_of(report_of(0x5000), verdict, delivered));
      const bool told = delivered == Delivered::delivered &&
                        (verdict == Verdict::inject || verdict == Verdict::inject_deferred);
      EXPECT_EQ(history(report_of(0x5000)).guest_told, told)
          << static_cast<int>(verdict) << ' ' << static_cast<int>(delivered);
    }
  }
}

TEST_F(PoisonTableTest, OfAHugePageTheGuestIsToldPageByPage) {
  note(optional_report(0x40'0000, kHuge));
  tell(optional_report(0x40'0000, kHuge));
  EXPECT_TRUE(history(report_of(0x40'0ff8, kHuge)).guest_told);
  EXPECT_FALSE(history(report_of(0x40'1000, kHuge)).guest_told);
  EXPECT_TRUE(history(report_of(0x40'1000, kHuge)).known);
  EXPECT_TRUE(note(report_of(0x40'1000, kHuge)));  // news, though its loss is known
  tell(report_of(0x40'1000, kHuge));
  EXPECT_EQ(table_.told_pages(loss(), 0), 2U);
  EXPECT_TRUE(table_.is_told(loss().range.first + 1, 0));
  EXPECT_FALSE(table_.is_told(loss().range.first + 2, 0));
}

TEST_F(PoisonTableTest, OfAGiantPageToo) {
  note(optional_report(kGiant, kGiant));
  tell(optional_report(kGiant, kGiant));
  for (const std::uint64_t inside : {kGiant + kSmall, kGiant + kHuge, 2 * kGiant - kSmall}) {
    const PageReport later = report_of(inside, kGiant);
    EXPECT_TRUE(history(later).known) << "the same loss";
    EXPECT_FALSE(history(later).guest_told) << "but not told of this part";
    EXPECT_TRUE(note(later));
    tell(later);
    EXPECT_TRUE(history(later).guest_told);
  }
  EXPECT_EQ(loss().range.hva(), kRamHva + kGiant);
  EXPECT_EQ(loss().range.bytes(), kGiant);
  EXPECT_EQ(loss().reports, 4U);
  EXPECT_EQ(table_.told_pages(loss(), 0), 4U);
}

TEST_F(PoisonTableTest, AfterAResetTheGuestKnowsNothing) {
  const PageReport report = report_of(0x5000);
  note(report);
  tell(report);
  const decision::History after = history(in_life(report, 1));
  EXPECT_TRUE(after.known);
  EXPECT_FALSE(after.guest_told);
  EXPECT_EQ(after.repeats, 1U);
  EXPECT_FALSE(note(in_life(report, 1)));  // no news, and so no storm
}

TEST_F(PoisonTableTest, ALateOutcomeOfAnEarlierLifeChangesNothing) {
  const PageReport report = in_life(report_of(0x5000), 2);
  note(report);
  tell(in_life(report, 1));
  EXPECT_FALSE(history(report).guest_told);
  tell(report);
  tell(in_life(report, 1));
  EXPECT_TRUE(history(report).guest_told);
}

TEST_F(PoisonTableTest, AnOutcomeOfAPageThatWasRepairedMeanwhileIsForgotten) {
  note(report_of(0x5000));
  repair(0x5000, kSmall);
  tell(report_of(0x5000));
  note(report_of(0x5000));
  EXPECT_FALSE(history(report_of(0x5000)).guest_told);
}

// ---- repeats ----------------------------------------------------------------------

TEST_F(PoisonTableTest, RepeatsAreTheActionRequiredReportsWithinTheTime) {
  const PageReport report = report_of(0x5000);
  EXPECT_EQ(history(report, 100).repeats, 1U);
  note(report, 100);
  EXPECT_EQ(history(report, 100).repeats, 2U);
  note(report, 105);
  EXPECT_EQ(history(report, 109).repeats, 3U);
  EXPECT_EQ(history(report, 110).repeats, 2U);
  EXPECT_EQ(history(report, 115).repeats, 1U);
}

TEST_F(PoisonTableTest, ManyVcpusThatMeetThePageAtOnceAreNoRepeat) {
  for (std::int32_t vcpu = 0; vcpu < 64; ++vcpu) {
    const PageReport report = by_vcpu(report_of(0x5000), vcpu);
    EXPECT_EQ(history(report).repeats, 1U);
    note(report);
  }
  EXPECT_EQ(history(by_vcpu(report_of(0x5000), 0)).repeats, 2U);
  EXPECT_EQ(history(by_vcpu(report_of(0x6000), 0)).repeats, 1U);
  EXPECT_EQ(history(by_vcpu(optional_report(0x5000), 0)).repeats, 1U);
}

TEST_F(PoisonTableTest, WhatIsTriedAgainAndWhatIsOptionalIsNoRepeat) {
  note(report_of(0x5000), 100, Verdict::retry);
  note(optional_report(0x5000), 100);
  EXPECT_EQ(history(report_of(0x5000), 100).repeats, 1U);
  EXPECT_EQ(history(optional_report(0x5000), 100).repeats, 0U);
  note(report_of(0x5000), 100);
  EXPECT_EQ(history(optional_report(0x5000), 100).repeats, 1U);
}

TEST_F(PoisonTableTest, RepeatsAreCountedPageByPageInsideAHugePage) {
  note(report_of(0x40'0000, kHuge));
  note(report_of(0x40'0000, kHuge));
  EXPECT_EQ(history(report_of(0x40'0000, kHuge)).repeats, 3U);
  EXPECT_EQ(history(report_of(0x40'1000, kHuge)).repeats, 1U);
}

TEST_F(PoisonTableTest, TheHighestLimitIsReachedExactly) {
  rules_.repeat_limit = decision::kRepeatLimits.most;
  const PageReport report = report_of(0x5000);
  for (std::uint32_t i = 1; i <= 1000; ++i) {
    ASSERT_EQ(history(report).repeats, i);
    note(report);
  }
}

// What is beyond it changes no verdict, and counting it would make verdicts slow.
TEST_F(PoisonTableTest, BeyondTheLimitIsNotCounted) {
  const PageReport report = report_of(0x5000);
  for (std::uint32_t i = 0; i < 2 * rules_.repeat_limit; ++i) note(report);
  EXPECT_EQ(history(report).repeats, rules_.repeat_limit + 1);
}

// ---- repaired ---------------------------------------------------------------------

TEST_F(PoisonTableTest, ARepairedPageIsCleanAndStaysVisible) {
  note(report_of(0x40'1000, kHuge), 100);
  tell(report_of(0x40'1000, kHuge));
  repair(0x40'0000, kHuge);
  EXPECT_TRUE(table_.broken().empty());
  EXPECT_TRUE(table_.pages().empty());
  ASSERT_EQ(table_.repaired().size(), 1U);
  EXPECT_EQ(table_.repaired().begin()->second.reports, 1U);
  const decision::History history_now = history(report_of(0x40'1000, kHuge));
  EXPECT_FALSE(history_now.known);
  EXPECT_FALSE(history_now.guest_told);
  EXPECT_EQ(history_now.repeats, 1U);
}

TEST_F(PoisonTableTest, WhatBreaksAgainIsNewsAndKeepsItsRecord) {
  note(report_of(0x5000), 100);
  repair(0x5000, kSmall);
  EXPECT_TRUE(note(report_of(0x5000), 200));
  EXPECT_TRUE(table_.repaired().empty());
  EXPECT_EQ(loss().reports, 2U);
  EXPECT_EQ(loss().first_us, second(100).realtime_us);
  EXPECT_EQ(loss().last_us, second(200).realtime_us);
}

TEST_F(PoisonTableTest, ARepairTakesWhatLiesWithinAndNoMore) {
  note(report_of(0x3f'f000));
  note(report_of(0x40'0000));
  note(report_of(0x5f'f000));
  note(report_of(0x60'0000));
  repair(0x40'3000, kHuge);
  EXPECT_EQ(table_.broken().size(), 2U);
  EXPECT_EQ(table_.repaired().size(), 2U);
  EXPECT_TRUE(history(report_of(0x3f'f000)).known);
  EXPECT_TRUE(history(report_of(0x60'0000)).known);
}

TEST_F(PoisonTableTest, OfOnePlaceTheLastRepairIsKept) {
  note(report_of(0x40'0000));
  repair(0x40'0000, kSmall);
  note(report_of(0x40'0000, kHuge));
  repair(0x40'0000, kHuge);
  ASSERT_EQ(table_.repaired().size(), 1U);
  EXPECT_EQ(table_.repaired().begin()->second.range.bytes(), kHuge);
}

TEST_F(PoisonTableTest, APartOfAHugePageCannotBeRepaired) {
  note(report_of(0x40'0000, kHuge));
  repair(0x40'0000, kSmall);
  EXPECT_TRUE(history(report_of(0x40'0000, kHuge)).known);
}

}  // namespace
}  // namespace memfail::session
