// SPDX-License-Identifier: BSD-3-Clause
//
// How often a guest has met a page, as the fallback counts it.
#include "vmm_shim/poison_list.h"

#include <array>

#include "gtest/gtest.h"

namespace memfail::shim {
namespace {

using decision::Severity;

constexpr std::uint32_t kCapacity = 4;
constexpr std::uint64_t kWindow = 100;
constexpr std::uint64_t kPage = 0x7f00'0000'5000;

decision::Classification page_at(std::uint64_t hva) {
  decision::Classification where;
  where.address = decision::AddressClass::kGuestRam;
  where.hva = hva;
  where.gpa = hva - 0x7f00'0000'0000;
  where.lost_size = 4096;
  return where;
}

class PoisonListTest : public ::testing::Test {
 protected:
  PoisonListTest() { list_.use(items_.data(), kCapacity); }

  std::uint32_t meet(std::int32_t vcpu, std::uint64_t now_ns = 1000, std::uint64_t hva = kPage) {
    return list_
        .note_report(page_at(hva), {Severity::kActionRequired, false, now_ns, vcpu}, kWindow)
        .repeats;
  }
  void take_back(std::int32_t vcpu) { list_.take_back_repeat(page_at(kPage), vcpu); }

  std::array<PoisonedPage, kCapacity> items_;
  PoisonList list_;
};

TEST_F(PoisonListTest, OneVcpuRepeatsEachTime) {
  for (std::uint32_t i = 1; i <= 20; ++i) EXPECT_EQ(meet(0), i);
  EXPECT_EQ(meet(0, 1000, kPage + 4096), 1U);
}

TEST_F(PoisonListTest, AGuestThatGoesThroughAHugePageMakesProgress) {
  constexpr std::uint64_t kHugeAt = 0x7f00'0020'0000;
  const auto meet_part = [&](std::uint64_t part) {
    decision::Classification where = page_at(kHugeAt + part * 4096);
    where.lost_size = 0x20'0000;
    return list_.note_report(where, {Severity::kActionRequired, false, 1000, 0}, kWindow).repeats;
  };
  for (std::uint64_t part = 0; part < 512; ++part) EXPECT_EQ(meet_part(part), 1U) << part;
  EXPECT_EQ(meet_part(7), 2U);
  EXPECT_EQ(meet_part(9), 3U);
}

TEST_F(PoisonListTest, ManyVcpusThatMeetThePageAtOnceAreNoRepeat) {
  for (std::int32_t vcpu = 0; vcpu < 1024; ++vcpu) EXPECT_EQ(meet(vcpu), 1U);
  EXPECT_EQ(meet(3), 2U);
  EXPECT_EQ(meet(4), 2U);
  EXPECT_EQ(meet(3), 3U);
}

TEST_F(PoisonListTest, NoVcpusReportIsARoundOfItsOwn) {
  EXPECT_EQ(meet(-1), 1U);
  EXPECT_EQ(meet(-1), 2U);
  EXPECT_EQ(meet(0), 3U);
}

TEST_F(PoisonListTest, WhatIsOptionalIsNoRepeat) {
  EXPECT_EQ(meet(0), 1U);
  EXPECT_EQ(list_.note_report(page_at(kPage), {Severity::kActionOptional, false, 1000, 0}, kWindow)
                .repeats,
            0U);
  EXPECT_EQ(meet(0), 2U);
}

TEST_F(PoisonListTest, WhatIsTriedAgainIsNoRepeat) {
  EXPECT_EQ(meet(0), 1U);
  EXPECT_EQ(meet(0), 2U);
  take_back(0);
  EXPECT_EQ(meet(0), 2U);  // it began the round, and does so again
  EXPECT_EQ(meet(1), 2U);
  take_back(1);
  EXPECT_EQ(meet(1), 2U);  // it joined
  EXPECT_EQ(meet(0), 3U);
}

TEST_F(PoisonListTest, TheFirstMeetingTriedAgainIsTheFirstAgain) {
  EXPECT_EQ(meet(0), 1U);
  take_back(0);
  EXPECT_EQ(meet(0), 1U);
}

TEST_F(PoisonListTest, AfterTheTimeCountingBeginsAnew) {
  EXPECT_EQ(meet(0, 1000), 1U);
  EXPECT_EQ(meet(0, 1100), 2U);
  EXPECT_EQ(meet(0, 1101), 1U);
  EXPECT_EQ(meet(1, 1101), 1U);
}

TEST_F(PoisonListTest, AResetForgetsTheRounds) {
  EXPECT_EQ(meet(0), 1U);
  EXPECT_EQ(meet(0), 2U);
  list_.forget_told();
  EXPECT_EQ(meet(0), 1U);
}

}  // namespace
}  // namespace memfail::shim
