// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/poison_list.h"

#include "tests/unit/shim/poison_list_fixture.h"

namespace memfail::test {
namespace {

using decision::AddressClass;
using decision::Classification;
using decision::History;
using decision::Severity;
using shim::PoisonedPage;
using shim::PoisonList;

// ---- what is on it -----------------------------------------------------------------

TEST_F(PoisonListTest, IsEmptyAtFirst) {
  PoisonedPage page;
  EXPECT_EQ(list_.size(), 0U);
  EXPECT_FALSE(list_.page(0, page));
}

TEST_F(PoisonListTest, APageIsNewOnceAndKnownFromThenOn) {
  EXPECT_FALSE(optional(at(0x5000)).known);
  EXPECT_TRUE(optional(at(0x5000)).known);
  EXPECT_TRUE(required(at(0x5008)).known) << "another address of the same page";
  EXPECT_FALSE(required(at(0x6000)).known);
  EXPECT_EQ(list_.size(), 2U);
  EXPECT_EQ(page(0).reports, 3U);
  EXPECT_EQ(page(1).reports, 1U);
}

TEST_F(PoisonListTest, ASmallPageBeginsAtItsPageWhereverItWasMet) {
  optional(at(0x5abc));
  EXPECT_EQ(page().hva, kRam + 0x5000);
  EXPECT_EQ(page().gpa, 0x5000U);
  EXPECT_EQ(page().size, kSmall);
}

TEST_F(PoisonListTest, ALostHugePageIsOneEntryForEveryReportInside) {
  optional(at(3 * kHuge + 0x12345, kHuge));
  required(at(3 * kHuge, kHuge));
  required(at(4 * kHuge - 1, kHuge));
  EXPECT_EQ(list_.size(), 1U);
  EXPECT_EQ(page().reports, 3U);
  EXPECT_EQ(page().hva, kRam + 3 * kHuge);
  EXPECT_EQ(page().gpa, 3 * kHuge) << "that of its start, not of the first report";
  EXPECT_EQ(page().size, kHuge);
}

TEST_F(PoisonListTest, SoIsALostGiantOne) {
  constexpr std::uint64_t kGiant = std::uint64_t{1} << 30;
  optional(at(kGiant + 0x12345, kGiant));
  required(at(2 * kGiant - 1, kGiant));
  EXPECT_FALSE(optional(at(2 * kGiant, kGiant)).known);
  EXPECT_EQ(list_.size(), 2U);
  EXPECT_EQ(page().hva, kRam + kGiant);
  EXPECT_EQ(page().gpa, kGiant);
  EXPECT_EQ(page().size, kGiant);
}

TEST_F(PoisonListTest, TheHugePagesBesideItAreOthers) {
  optional(at(3 * kHuge, kHuge));
  EXPECT_FALSE(optional(at(3 * kHuge - 1, kHuge)).known);
  EXPECT_FALSE(optional(at(4 * kHuge, kHuge)).known);
  EXPECT_EQ(list_.size(), 3U);
}

TEST_F(PoisonListTest, GuestRamThatTheGuestCannotSeeHasNoGuestAddress) {
  Classification where = at(3 * kHuge + 0x5000, kHuge);
  where.address = AddressClass::kGuestRamUnmapped;
  where.gpa = wire::kNoAddress;
  optional(where);
  EXPECT_EQ(page().hva, kRam + 3 * kHuge);
  EXPECT_EQ(page().gpa, wire::kNoAddress);
}

TEST_F(PoisonListTest, WhatIsNoGuestRamOrHasNoHostAddressIsLeftAlone) {
  Classification vmm = at(0x5000);
  vmm.address = AddressClass::kVmmMemory;
  Classification nowhere;
  nowhere.address = AddressClass::kNoAddress;
  Classification guest_memfd = at(0x5000);
  guest_memfd.hva = wire::kNoAddress;
  for (const auto& where : {vmm, nowhere, guest_memfd}) {
    const History history = required(where);
    EXPECT_FALSE(history.known);
    EXPECT_EQ(history.repeats, 0U);
    list_.note_told(where);
    list_.note_to_tell(where, true);
    list_.take_back_repeat(where);
  }
  EXPECT_EQ(list_.size(), 0U);
  EXPECT_EQ(list_.left_out(), 0U);
  EXPECT_FALSE(list_.has_to_tell());
}

TEST_F(PoisonListTest, WithoutRoomAPageIsCountedAndNothingIsKnownOfIt) {
  for (std::uint64_t i = 0; i < kCapacity; ++i) required(at(i * kSmall));
  EXPECT_EQ(list_.left_out(), 0U);
  const History history = required(at(kCapacity * kSmall));
  EXPECT_FALSE(history.known);
  EXPECT_EQ(history.repeats, 0U);
  required(at((kCapacity + 1) * kSmall));
  EXPECT_EQ(list_.size(), kCapacity);
  EXPECT_EQ(list_.left_out(), 2U);
  EXPECT_TRUE(required(at(3 * kSmall)).known) << "those that have room go on";
  list_.note_to_tell(at(kCapacity * kSmall), true);
  list_.note_told(at(kCapacity * kSmall));
  EXPECT_FALSE(list_.has_to_tell());
}

TEST(PoisonListWithoutRoom, CountsEverything) {
  PoisonList list;
  EXPECT_FALSE(list.note_report(at(0), {Severity::kActionRequired, false, kNow}, kWindow).known);
  EXPECT_EQ(list.left_out(), 1U);
  list.forget_told();
  EXPECT_EQ(list.size(), 0U);
}

// ---- repeats -----------------------------------------------------------------------

TEST_F(PoisonListTest, ActionRequiredReportsOfOnePageAreCounted) {
  EXPECT_EQ(required(at(0x5000)).repeats, 1U);
  EXPECT_EQ(required(at(0x5ff8)).repeats, 2U);
  EXPECT_EQ(required(at(0x6000)).repeats, 1U);
  EXPECT_EQ(required(at(0x5000)).repeats, 3U);
}

TEST_F(PoisonListTest, AnActionOptionalReportIsNoRepeat) {
  required(at(0x5000));
  EXPECT_EQ(optional(at(0x5000)).repeats, 0U);
  EXPECT_EQ(required(at(0x5000)).repeats, 2U);
}

TEST_F(PoisonListTest, AfterTheWindowTheyAreCountedAnew) {
  required(at(0x5000));
  required(at(0x5000), kNow + kSecond);
  EXPECT_EQ(required(at(0x5000), kNow + kWindow).repeats, 3U) << "its last moment";
  EXPECT_EQ(required(at(0x5000), kNow + kWindow + 1).repeats, 1U);
  EXPECT_EQ(required(at(0x5000), kNow + 2 * kWindow + 1).repeats, 2U);
}

TEST_F(PoisonListTest, AWindowBeginsWithTheFirstRequiredReport) {
  optional(at(0x5000));
  required(at(0x5000), kNow + kWindow);
  EXPECT_EQ(required(at(0x5000), kNow + 2 * kWindow).repeats, 2U);
}

TEST_F(PoisonListTest, RightAfterTheHostHasBootedTheyAreCountedToo) {
  EXPECT_EQ(required(at(0x5000), 5).repeats, 1U);
  EXPECT_EQ(required(at(0x5000), 6).repeats, 2U);
}

// Two vCPUs meet the page; who entered its handler first need not be handled first.
TEST_F(PoisonListTest, ReportsThatAreHandledOutOfOrderCountTogether) {
  EXPECT_EQ(required(at(0x5000), kNow + 2).repeats, 1U);
  EXPECT_EQ(required(at(0x5000), kNow + 1).repeats, 2U);
  EXPECT_EQ(required(at(0x5000), kNow + 4).repeats, 3U);
  EXPECT_EQ(required(at(0x5000), kNow + 3).repeats, 4U);
}

TEST_F(PoisonListTest, WhatIsTriedAgainIsTakenBack) {
  required(at(0x5000));
  required(at(0x5000));
  list_.take_back_repeat(at(0x5abc));
  EXPECT_EQ(required(at(0x5000)).repeats, 2U);
}

TEST_F(PoisonListTest, NoMoreIsTakenBackThanThereWas) {
  optional(at(0x5000));
  list_.take_back_repeat(at(0x5000));
  list_.take_back_repeat(at(0x6000));  // of which nothing is known
  EXPECT_EQ(required(at(0x5000)).repeats, 1U);
  EXPECT_EQ(list_.size(), 1U);
}

// ---- told, and to be told ------------------------------------------------------------

TEST_F(PoisonListTest, ADeliveredRecordIsKnownToTheNextReport) {
  EXPECT_FALSE(optional(at(0x5000)).guest_told);
  list_.note_told(at(0x5000));
  EXPECT_TRUE(optional(at(0x5000)).guest_told);
  EXPECT_FALSE(optional(at(0x6000)).guest_told);
}

TEST_F(PoisonListTest, OnlyARememberedPageIsToBeTold) {
  optional(at(0x5000));
  EXPECT_FALSE(list_.has_to_tell());
  list_.note_to_tell(at(0x5000), true);
  EXPECT_TRUE(list_.has_to_tell());
  EXPECT_EQ(to_tell(), Pages{0x5000});
  remember(0x5000);
  EXPECT_EQ(to_tell(), Pages{0x5000}) << "once";
}

TEST_F(PoisonListTest, OnceToldItIsNotToBeToldAnyMore) {
  remember(0x5000);
  list_.note_told(at(0x5000));
  EXPECT_FALSE(list_.has_to_tell());
  EXPECT_TRUE(to_tell().empty());
  list_.note_to_tell(at(0x5000), true);
  EXPECT_FALSE(list_.has_to_tell()) << "the guest knows of it";
}

TEST_F(PoisonListTest, OneThatIsDeclinedIsNotToBeToldAnyMore) {
  remember(0x5000);
  remember(0x6000);
  list_.note_to_tell(at(0x5000), false);
  EXPECT_EQ(to_tell(), Pages{0x6000});
  EXPECT_TRUE(list_.has_to_tell());
  list_.note_to_tell(at(0x6000), false);
  EXPECT_FALSE(list_.has_to_tell());
}

TEST_F(PoisonListTest, TheCursorPassesOverWhatIsNotToBeTold) {
  for (const std::uint64_t gpa : Pages{0x1000, 0x3000, 0x5000}) remember(gpa);
  optional(at(0x2000));
  remember(0x4000);
  list_.note_told(at(0x3000));
  PoisonedPage page;
  std::uint32_t cursor = 0;
  ASSERT_TRUE(list_.next_to_tell(cursor, page));
  EXPECT_EQ(page.gpa, 0x1000U);
  ASSERT_TRUE(list_.next_to_tell(cursor, page));
  EXPECT_EQ(page.gpa, 0x5000U);
  ASSERT_TRUE(list_.next_to_tell(cursor, page));
  EXPECT_EQ(page.gpa, 0x4000U);
  EXPECT_FALSE(list_.next_to_tell(cursor, page));
  EXPECT_EQ(page.gpa, 0x4000U) << "left as it was";
  cursor = kCapacity + 5;
  EXPECT_FALSE(list_.next_to_tell(cursor, page)) << "behind the end";
}

TEST_F(PoisonListTest, AResetGuestHasForgottenButThePagesAreStillBroken) {
  required(at(0x5000));
  list_.note_told(at(0x5000));
  remember(0x6000);
  list_.forget_told();
  EXPECT_EQ(list_.size(), 2U);
  EXPECT_FALSE(list_.has_to_tell());
  const History history = required(at(0x5000));
  EXPECT_TRUE(history.known);
  EXPECT_FALSE(history.guest_told);
  EXPECT_EQ(history.repeats, 1U);
  list_.note_to_tell(at(0x5000), true);
  EXPECT_EQ(to_tell(), Pages{0x5000}) << "it may be remembered again";
}

}  // namespace
}  // namespace memfail::test
