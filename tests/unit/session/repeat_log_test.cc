// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/repeat_log.h"

#include <algorithm>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace memfail::session {
namespace {

constexpr std::uint64_t kWindow = 100;

RepeatLog::Meeting met(std::uint64_t now_ns, std::uint32_t guest_epoch = 0,
                       std::uint64_t window_ns = kWindow) {
  return {now_ns, window_ns, guest_epoch, 0};
}

RepeatLog::Meeting met_by(std::int32_t vcpu, std::uint64_t now_ns = 1000) {
  return {now_ns, kWindow, 0, vcpu};
}

TEST(RepeatLog, CountsNothingWhereNothingWas) {
  EXPECT_EQ(RepeatLog(8).count(RepeatLog::kNone, met(5)), 0U);
}

TEST(RepeatLog, AMarkCountsUntilTheWindowHasPassed) {
  RepeatLog log(8);
  const auto mark = log.add(RepeatLog::kNone, met(1000));
  EXPECT_EQ(log.count(mark, met(1000)), 1U);
  EXPECT_EQ(log.count(mark, met(1099)), 1U);
  EXPECT_EQ(log.count(mark, met(1100)), 0U);
}

TEST(RepeatLog, TheWindowMayChange) {
  RepeatLog log(8);
  auto mark = log.add(RepeatLog::kNone, met(1000));
  mark = log.add(mark, met(1050));
  EXPECT_EQ(log.count(mark, met(1060, 0, 20)), 1U);
  EXPECT_EQ(log.count(mark, met(1060)), 2U);
}

TEST(RepeatLog, AnotherLifeOfTheGuestBeginsAnew) {
  RepeatLog log(8);
  auto mark = log.add(RepeatLog::kNone, met(1000, 1));
  EXPECT_EQ(log.count(mark, met(1000, 2)), 0U);
  mark = log.add(mark, met(1001, 2));
  EXPECT_EQ(log.count(mark, met(1001, 2)), 1U);
}

TEST(RepeatLog, ALateMarkOfAnEarlierLifeChangesNothing) {
  RepeatLog log(8);
  const auto mark = log.add(RepeatLog::kNone, met(1000, 2));
  EXPECT_EQ(log.add(mark, met(1001, 1)), mark);
  EXPECT_EQ(log.count(mark, met(1001, 2)), 1U);
}

TEST(RepeatLog, IsExactUpToAThousandAndCountsNoFurther) {
  RepeatLog log(4096);
  auto mark = RepeatLog::kNone;
  for (std::uint32_t i = 1; i <= 1100; ++i) {
    mark = log.add(mark, met(1000));
    ASSERT_EQ(log.count(mark, met(1000)), std::min(i, 1000U));
  }
}

TEST(RepeatLog, AFullRingForgetsTheOldestAndSaysSo) {
  RepeatLog log(4);
  auto mark = RepeatLog::kNone;
  for (int i = 0; i < 4; ++i) mark = log.add(mark, met(1000));
  EXPECT_EQ(log.count(mark, met(1000)), 4U);
  EXPECT_EQ(log.overwritten(), 0U);
  mark = log.add(mark, met(1099));
  EXPECT_EQ(log.count(mark, met(1099)), 4U);
  EXPECT_EQ(log.overwritten(), 1U);
  log.add(mark, met(1100));  // what makes room now does not count any more
  EXPECT_EQ(log.overwritten(), 1U);
}

TEST(RepeatLog, APageWhoseMarksWereAllOverwrittenCountsNone) {
  RepeatLog log(4);
  const auto lone = log.add(RepeatLog::kNone, met(1000));
  auto other = RepeatLog::kNone;
  for (int i = 0; i < 4; ++i) other = log.add(other, met(1000));
  EXPECT_EQ(log.count(lone, met(1000)), 0U);
  EXPECT_EQ(log.count(log.add(lone, met(1000)), met(1000)), 1U);
}

// ---- several vCPUs ----------------------------------------------------------------

TEST(RepeatLog, AnyNumberOfVcpusThatMeetAPageOnceAreOneRound) {
  RepeatLog log(4096);
  auto mark = RepeatLog::kNone;
  for (std::int32_t vcpu = 0; vcpu < 1024; ++vcpu) {
    EXPECT_EQ(log.count_with(mark, met_by(vcpu)), 1U);
    mark = log.add(mark, met_by(vcpu));
  }
  EXPECT_EQ(log.count(mark, met_by(0)), 1U);
  EXPECT_EQ(log.count_with(mark, met_by(3)), 2U);
}

TEST(RepeatLog, OneThatMeetsItAgainBeginsTheNextRound) {
  struct Row {
    std::vector<std::int32_t> vcpus;
    std::uint32_t rounds;
  };
  const Row rows[] = {
      {{0, 0, 0, 0}, 4},    {{0, 1, 0, 1}, 2},       {{0, 1, 1, 0}, 2}, {{0, 1, 2, 2, 1, 0}, 2},
      {{0, 1, 0, 0, 1}, 3}, {{0, 1, 2, 0, 0, 0}, 4}, {{-1, -1, -1}, 3}, {{0, -1, 1, 0}, 2},
  };
  for (const Row& row : rows) {
    RepeatLog log(64);
    auto mark = RepeatLog::kNone;
    std::uint32_t rounds = 0;
    for (const std::int32_t vcpu : row.vcpus) {
      rounds = log.count_with(mark, met_by(vcpu));
      mark = log.add(mark, met_by(vcpu));
      ASSERT_EQ(log.count(mark, met_by(vcpu)), rounds);
    }
    EXPECT_EQ(rounds, row.rounds) << ::testing::PrintToString(row.vcpus);
  }
}

TEST(RepeatLog, AVcpuThatMetThePageLongAgoJoinsTheRound) {
  RepeatLog log(64);
  auto mark = log.add(RepeatLog::kNone, met_by(0, 1000));
  mark = log.add(mark, met_by(1, 1090));
  EXPECT_EQ(log.count_with(mark, met_by(0, 1099)), 2U);
  EXPECT_EQ(log.count_with(mark, met_by(0, 1100)), 1U);
}

TEST(RepeatLog, ALongRoundIsCountedUntilItsLastMeetingIsOld) {
  RepeatLog log(64);
  auto mark = log.add(RepeatLog::kNone, met_by(0, 1000));
  mark = log.add(mark, met_by(1, 1090));
  mark = log.add(mark, met_by(1, 1095));
  EXPECT_EQ(log.count(mark, met_by(0, 1189)), 2U);
  EXPECT_EQ(log.count(mark, met_by(0, 1190)), 1U);
  EXPECT_EQ(log.count(mark, met_by(0, 1195)), 0U);
}

TEST(RepeatLog, ARoundWhoseBeginningWasOverwrittenGoesOn) {
  RepeatLog log(4);
  auto mark = RepeatLog::kNone;
  for (std::int32_t vcpu = 0; vcpu < 9; ++vcpu) {
    mark = log.add(mark, met_by(vcpu));
    ASSERT_EQ(log.count(mark, met_by(vcpu)), 1U);
  }
  EXPECT_EQ(log.count_with(mark, met_by(5)), 2U);
  EXPECT_EQ(log.count_with(mark, met_by(4)), 1U);  // forgotten
  EXPECT_EQ(log.overwritten(), 5U);
}

// As many rounds as the busiest vCPU meets at least, as all together at most.
TEST(RepeatLog, RoundsLieBetweenTheBusiestAndAllOfThem) {
  std::mt19937 random(2);
  for (const unsigned vcpus : {1U, 2U, 5U, 64U}) {
    RepeatLog log(4096);
    std::vector<std::uint32_t> meetings(vcpus);
    auto mark = RepeatLog::kNone;
    for (std::uint32_t all = 1; all <= 900; ++all) {
      const auto vcpu = random() % vcpus;
      ++meetings[vcpu];
      mark = log.add(mark, met_by(static_cast<std::int32_t>(vcpu)));
      const std::uint32_t rounds = log.count(mark, met_by(0));
      ASSERT_GE(rounds, std::ranges::max(meetings));
      ASSERT_LE(rounds, all);
    }
  }
}

// Many pages, against the plain list of all times.
TEST(RepeatLog, CountsAsAListOfAllTimesDoes) {
  constexpr std::size_t kPages = 7;
  std::mt19937 random(1);
  RepeatLog log(1 << 14);
  std::vector<RepeatLog::Mark> newest(kPages, RepeatLog::kNone);
  std::vector<std::vector<std::uint64_t>> times(kPages);
  std::uint64_t now = 1000;
  for (int step = 0; step < 10000; ++step) {
    now += random() % 4;
    const std::size_t page = random() % kPages;
    newest[page] = log.add(newest[page], met(now));
    times[page].push_back(now);
    const std::size_t asked = random() % kPages;
    const auto expected = std::count_if(times[asked].begin(), times[asked].end(),
                                        [now](std::uint64_t at) { return now - at < kWindow; });
    ASSERT_EQ(log.count(newest[asked], met(now)), expected) << step;
  }
  EXPECT_EQ(log.overwritten(), 0U);
}

}  // namespace
}  // namespace memfail::session
