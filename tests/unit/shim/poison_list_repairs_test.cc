// SPDX-License-Identifier: BSD-3-Clause
//
// The list after a guest reset: a page that was repaired stays until the sidecar has
// heard of it. And pages that come from elsewhere.
#include "tests/unit/shim/poison_list_fixture.h"
#include "vmm_shim/poison_list.h"

namespace memfail::test {
namespace {

using decision::History;
using shim::PoisonedPage;
using wire::Repair;

class PoisonListRepairs : public PoisonListTest {
 protected:
  // What is said in message `id`.
  Pages say(std::uint64_t id, std::uint32_t most = kCapacity) {
    std::array<PoisonedPage, kCapacity> pages;
    const std::uint32_t count = list_.say_repairs(pages.data(), most, id);
    Pages said;
    for (std::uint32_t i = 0; i < count; ++i) said.push_back(pages[i].gpa);
    return said;
  }
  void repair(std::uint64_t gpa, Repair result = Repair::repaired) {
    list_.note_repair(kRam + gpa, result);
  }
  // Repaired, and the sidecar knows.
  void remove(std::uint64_t gpa) {
    repair(gpa);
    EXPECT_EQ(say(1), Pages{gpa});
    list_.repairs_heard(1);
  }
};

TEST_F(PoisonListRepairs, ARepairedPageGoesWhenTheSidecarHasHeardOfIt) {
  optional(at(0x5000));
  EXPECT_FALSE(list_.has_repairs());
  repair(0x5abc);
  EXPECT_TRUE(list_.has_repairs());
  EXPECT_EQ(say(7), Pages{0x5000});
  EXPECT_FALSE(list_.has_repairs()) << "it is said once";
  EXPECT_TRUE(say(8).empty());
  EXPECT_EQ(list_.size(), 1U);
  list_.repairs_heard(8);
  EXPECT_EQ(list_.size(), 1U) << "that was another message";
  list_.repairs_heard(7);
  EXPECT_EQ(list_.size(), 0U);
}

TEST_F(PoisonListRepairs, APageThatCouldNotBeRepairedIsSaidAndStays) {
  required(at(0x5000));
  repair(0x5000, Repair::pinned);
  EXPECT_EQ(say(7), Pages{0x5000});
  list_.repairs_heard(7);
  EXPECT_EQ(page().repair, Repair::none);
  EXPECT_FALSE(list_.has_repairs());
  EXPECT_EQ(required(at(0x5000)).repeats, 2U) << "the same page";
}

TEST_F(PoisonListRepairs, OfAPageThatIsNotThereNothingIsSaid) {
  optional(at(0x5000));
  repair(0x6000);
  EXPECT_FALSE(list_.has_repairs());
}

TEST_F(PoisonListRepairs, WhatDoesNotFitIsSaidInTheNextMessage) {
  for (const std::uint64_t gpa : Pages{0x1000, 0x2000, 0x3000}) {
    optional(at(gpa));
    repair(gpa);
  }
  EXPECT_EQ(say(7, 2), (Pages{0x1000, 0x2000}));
  EXPECT_TRUE(list_.has_repairs());
  EXPECT_EQ(say(8, 2), Pages{0x3000});
  list_.repairs_heard(7);
  EXPECT_EQ(list_.size(), 1U);
  EXPECT_EQ(page().gpa, 0x3000U);
}

TEST_F(PoisonListRepairs, WhatDidNotGetThroughIsSaidAgain) {
  for (const std::uint64_t gpa : Pages{0x1000, 0x2000}) {
    optional(at(gpa));
    repair(gpa);
  }
  EXPECT_EQ(say(7, 1), Pages{0x1000});
  EXPECT_EQ(say(8, 1), Pages{0x2000});
  list_.repairs_unheard(8);
  EXPECT_TRUE(list_.has_repairs());
  EXPECT_EQ(say(9), Pages{0x2000});
  list_.repairs_unheard(0);
  EXPECT_EQ(say(10), (Pages{0x1000, 0x2000})) << "the next sidecar hears all of it";
  list_.repairs_heard(7);
  EXPECT_EQ(list_.size(), 2U);
}

TEST_F(PoisonListRepairs, APageThatBreaksAgainBeforeThatIsANewOneAndStays) {
  for (const bool said : {false, true}) {
    required(at(0x5000));
    list_.note_told(at(0x5000));
    repair(0x5000);
    if (said) {
      EXPECT_EQ(say(7), Pages{0x5000});
    }
    const History history = required(at(0x5000));
    EXPECT_FALSE(history.known);
    EXPECT_FALSE(history.guest_told);
    EXPECT_EQ(history.repeats, 1U);
    EXPECT_FALSE(list_.has_repairs()) << "nothing is repaired any more";
    list_.repairs_heard(7);
    EXPECT_EQ(list_.size(), 1U);
    remove(0x5000);
  }
}

TEST_F(PoisonListRepairs, OfARepairedPageTheGuestIsNotToBeTold) {
  remember(0x5000);
  remember(0x6000);
  repair(0x5000);
  repair(0x6000, Repair::pinned);
  EXPECT_EQ(to_tell(), Pages{0x6000});
  list_.note_to_tell(at(0x5000), true);  // by a report that was under way
  EXPECT_EQ(to_tell(), Pages{0x6000});
  list_.note_to_tell(at(0x6000), false);
  EXPECT_FALSE(list_.has_to_tell());
  remember(0x5000);  // broken again
  EXPECT_EQ(to_tell(), Pages{0x5000});
}

TEST_F(PoisonListRepairs, ADrillIsOneUntilARealReportComes) {
  optional(at(0x5000), true);
  optional(at(0x5000), true);
  EXPECT_TRUE(page().drill);
  optional(at(0x5000));
  EXPECT_FALSE(page().drill) << "the memory is broken after all";
  optional(at(0x5000), true);
  EXPECT_FALSE(page().drill);
}

TEST_F(PoisonListRepairs, WhatTheGuestWasToldByADrillIsNotKnownOfTheRealFailure) {
  optional(at(0x5000), true);
  list_.note_told(at(0x5000));
  EXPECT_TRUE(optional(at(0x5000), true).guest_told);
  EXPECT_FALSE(list_.is_broken(kRam + 0x5000));
  const auto history = optional(at(0x5000));
  EXPECT_FALSE(history.known);
  EXPECT_FALSE(history.guest_told);
  EXPECT_TRUE(list_.is_broken(kRam + 0x5000));
}

TEST_F(PoisonListRepairs, APageThatCameBrokenIsNoDrills) {
  shim::PoisonedPage known;
  known.hva = kRam + 0x5000;
  known.size = kSmall;
  list_.add(known);
  optional(at(0x5000), true);
  EXPECT_FALSE(page().drill) << "a reset would leave it broken";
}

// ---- what goes -----------------------------------------------------------------------

TEST_F(PoisonListRepairs, APageThatWentIsUnknownAndLeavesTheOthersWhole) {
  for (const std::uint64_t gpa : Pages{0x1000, 0x2000, 0x3000}) required(at(gpa));
  list_.note_told(at(0x3000));
  remove(0x1000);
  EXPECT_EQ(list_.size(), 2U);
  EXPECT_TRUE(required(at(0x3000)).guest_told);
  EXPECT_EQ(required(at(0x2000)).repeats, 2U);
  const History history = required(at(0x1000));
  EXPECT_FALSE(history.known);
  EXPECT_EQ(history.repeats, 1U);
}

TEST_F(PoisonListRepairs, TheLastOneMayGoToo) {
  remember(0x5000);
  remove(0x5000);
  EXPECT_EQ(list_.size(), 0U);
  EXPECT_FALSE(list_.has_to_tell());
}

TEST_F(PoisonListRepairs, AllOfOneMessageGoTogether) {
  for (std::uint64_t i = 0; i < kCapacity; ++i) {
    required(at(i * kSmall));
    if (i % 3 != 0) repair(i * kSmall);
  }
  say(7);
  list_.repairs_heard(7);
  ASSERT_EQ(list_.size(), 3U);
  for (const std::uint64_t i : {0U, 3U, 6U}) EXPECT_TRUE(required(at(i * kSmall)).known);
}

TEST_F(PoisonListRepairs, WhoGoesMakesRoom) {
  for (std::uint64_t i = 0; i < kCapacity; ++i) required(at(i * kSmall));
  remove(0x1000);
  required(at(kCapacity * kSmall));
  EXPECT_EQ(list_.left_out(), 0U);
  EXPECT_TRUE(required(at(kCapacity * kSmall)).known);
}

// ---- what comes from elsewhere ---------------------------------------------------------

PoisonedPage from_elsewhere(std::uint64_t gpa) {
  PoisonedPage page;
  page.hva = kRam + gpa;
  page.gpa = gpa;
  page.size = kSmall;
  page.reports = 1;
  return page;
}

TEST_F(PoisonListRepairs, APageFromElsewhereIsKnownToItsFirstReport) {
  PoisonedPage page = from_elsewhere(0x5000);
  page.told = true;
  EXPECT_TRUE(list_.add(page));
  const History history = required(at(0x5000));
  EXPECT_TRUE(history.known);
  EXPECT_TRUE(history.guest_told);
}

TEST_F(PoisonListRepairs, APageFromElsewhereMayBeToBeTold) {
  PoisonedPage page = from_elsewhere(0x5000);
  page.to_tell = true;
  EXPECT_TRUE(list_.add(page));
  EXPECT_TRUE(list_.has_to_tell());
  EXPECT_EQ(to_tell(), Pages{0x5000});
}

TEST_F(PoisonListRepairs, APageThatIsThereIsNotAddedAgain) {
  required(at(0x5000));
  EXPECT_FALSE(list_.add(from_elsewhere(0x5000)));
  EXPECT_EQ(list_.size(), 1U);
}

TEST_F(PoisonListRepairs, WithoutRoomNothingIsAdded) {
  for (std::uint64_t i = 0; i < kCapacity; ++i) EXPECT_TRUE(list_.add(from_elsewhere(i * kSmall)));
  EXPECT_FALSE(list_.add(from_elsewhere(kCapacity * kSmall)));
  EXPECT_EQ(list_.size(), kCapacity);
}

}  // namespace
}  // namespace memfail::test
