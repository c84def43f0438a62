// SPDX-License-Identifier: BSD-3-Clause
//
// What the table does when it is full, and when a VMM lists what it knows.
#include <vector>

#include "poison_table_fixture.h"

namespace memfail::session {
namespace {

using test::in_life;
using test::kHuge;
using test::kRamHva;
using test::kSmall;
using test::optional_report;
using test::report_of;

using PoisonTableRoomTest = test::PoisonTableTest;
using PoisonTableRebuildTest = test::PoisonTableTest;

TEST_F(PoisonTableRoomTest, AFullTableRefusesAndCounts) {
  for (std::uint64_t page = 1; page <= 4; ++page) note(report_of(page * kHuge, kHuge));
  EXPECT_EQ(table_.refused(), 0U);
  EXPECT_TRUE(note(report_of(5 * kHuge, kHuge)));
  EXPECT_TRUE(note(report_of(5 * kHuge, kHuge)));
  EXPECT_EQ(table_.refused(), 2U);
  EXPECT_FALSE(history(report_of(5 * kHuge, kHuge)).known);
  EXPECT_FALSE(note(report_of(1 * kHuge, kHuge)));  // those that are in still count
  EXPECT_EQ(table_.broken().at((kRamHva + kHuge) / kSmall).reports, 2U);
}

TEST_F(PoisonTableRoomTest, RepairedPagesMakeRoom) {
  for (std::uint64_t page = 1; page <= 4; ++page) note(report_of(page * kSmall));
  repair(2 * kSmall, kSmall);
  note(report_of(9 * kSmall));
  EXPECT_TRUE(history(report_of(9 * kSmall)).known);
  EXPECT_TRUE(table_.repaired().empty());
  EXPECT_EQ(table_.broken().size(), 4U);
  EXPECT_EQ(table_.refused(), 0U);
}

TEST_F(PoisonTableRoomTest, AHugePageThatTakesOthersInNeedsNoRoom) {
  for (std::uint64_t page = 0; page < 4; ++page) note(report_of(page * kSmall));
  note(optional_report(0, kHuge));
  EXPECT_EQ(table_.refused(), 0U);
  EXPECT_EQ(loss().reports, 5U);
}

TEST_F(PoisonTableRoomTest, TheSmallPagesInsideAreBoundedToo) {
  for (std::uint64_t page = 0; page < 9; ++page) note(report_of(page * kSmall, kHuge));
  EXPECT_EQ(table_.pages().size(), 8U);
  EXPECT_EQ(table_.refused(), 1U);
  EXPECT_EQ(loss().reports, 9U);
  tell(report_of(8 * kSmall, kHuge));
  EXPECT_FALSE(history(report_of(8 * kSmall, kHuge)).guest_told);  // told twice, not never
}

TEST_F(PoisonTableRebuildTest, IsRebuiltFromWhatTheVmmLists) {
  const KnownPage known[] = {
      {.hva = kRamHva + 0x5000, .gpa = 0x5000, .size = kSmall, .told = true},
      {.hva = kRamHva + 0x40'3000, .gpa = 0x40'3000, .size = kHuge},
      {.hva = kRamHva + 0x80'0000, .gpa = 0x80'0000, .size = kHuge, .repaired = true},
      {.size = kSmall, .told = true},  // names nothing
  };
  table_.rebuild(known, 7);
  EXPECT_EQ(table_.broken().size(), 2U);
  EXPECT_EQ(table_.repaired().size(), 1U);
  EXPECT_TRUE(history(in_life(report_of(0x5000), 7)).guest_told);
  EXPECT_FALSE(history(in_life(report_of(0x5000), 8)).guest_told);
  EXPECT_FALSE(history(in_life(report_of(0x40'3000, kHuge), 7)).guest_told);
  EXPECT_TRUE(history(report_of(0x40'0000, kHuge)).known);
  EXPECT_FALSE(history(report_of(0x80'0000, kHuge)).known);
  EXPECT_FALSE(note(in_life(report_of(0x5000), 7)));  // no news
  EXPECT_EQ(table_.broken().begin()->second.reports, 1U);
}

TEST_F(PoisonTableRebuildTest, ARebuildGoesOnWithTheLongerMemory) {
  note(report_of(0x5000));
  const Loss before = table_.broken().begin()->second;
  const KnownPage less[] = {{.hva = kRamHva + 0x5000, .gpa = 0x5000, .size = kSmall}};
  table_.rebuild(less, 0);
  EXPECT_EQ(table_.broken().begin()->second.reports, before.reports);
  EXPECT_EQ(table_.broken().begin()->second.first_us, before.first_us);
  const KnownPage more[] = {{.hva = kRamHva + 0x5000,
                             .gpa = 0x5000,
                             .size = kSmall,
                             .reports = 9,
                             .first_us = 1,
                             .last_us = before.last_us + 5}};
  table_.rebuild(more, 0);
  const Loss& after = table_.broken().begin()->second;
  EXPECT_EQ(after.reports, 9U);
  EXPECT_EQ(after.first_us, 1U);
  EXPECT_EQ(after.last_us, before.last_us + 5);
}

TEST_F(PoisonTableRebuildTest, ARebuildAddsToWhatIsKnown) {
  note(report_of(0x5000), 100);
  note(report_of(0x6000), 100);
  note(report_of(0x7000), 100);
  repair(0x7000, kSmall);
  const KnownPage known[] = {
      {.hva = kRamHva + 0x5000, .gpa = 0x5000, .size = kSmall, .repaired = true},
      {.hva = kRamHva + 0x7000, .gpa = 0x7000, .size = kSmall},
  };
  table_.rebuild(known, 0);
  EXPECT_FALSE(history(report_of(0x5000)).known);
  EXPECT_TRUE(history(report_of(0x6000)).known);
  EXPECT_TRUE(history(report_of(0x7000)).known);
  EXPECT_EQ(table_.repaired().size(), 1U);
  EXPECT_EQ(table_.broken().begin()->second.reports, 1U);
}

TEST_F(PoisonTableRebuildTest, ARebuildListsNoPartOfABrokenPageAsRepaired) {
  note(report_of(0x40'0000, kHuge));
  const KnownPage known[] = {{.hva = kRamHva + 0x40'1000, .size = kSmall, .repaired = true}};
  table_.rebuild(known, 0);
  EXPECT_TRUE(table_.repaired().empty());
}

TEST_F(PoisonTableRebuildTest, ARebuildIsBoundedAndCounted) {
  std::vector<KnownPage> known(9);
  for (std::size_t i = 0; i < known.size(); ++i) known[i] = {.hva = i * kSmall, .repaired = true};
  table_.rebuild(known, 0);
  EXPECT_EQ(table_.repaired().size(), 4U);
  EXPECT_EQ(table_.refused(), 0U);  // a page that is whole does no harm unlisted
  for (KnownPage& one : known) one.repaired = false;
  table_.rebuild(known, 0);
  EXPECT_EQ(table_.broken().size(), 4U);
  EXPECT_TRUE(table_.repaired().empty());
  EXPECT_EQ(table_.refused(), 5U);
}

}  // namespace
}  // namespace memfail::session
