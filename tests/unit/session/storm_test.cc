// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/storm.h"

#include <algorithm>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "sidecar/session/page_report.h"

namespace memfail::session {
namespace {

class StormTest : public ::testing::Test {
 protected:
  StormTest() {
    rules_.storm_pages = 3;
    rules_.storm_seconds = 10;
  }

  void page(std::uint64_t second) { storm_.note_page(rules_, second * kSecondNs); }
  void pages(std::initializer_list<std::uint64_t> seconds) {
    for (const std::uint64_t second : seconds) page(second);
  }
  bool on(std::uint64_t second) const { return storm_.on(second * kSecondNs); }

  // "began PAGES", "over SUPPRESSED", or nothing.
  std::string due(std::uint64_t second) {
    const auto what = storm_.take_due(second * kSecondNs);
    if (!what) return "";
    if (const auto* began = std::get_if<StormBegan>(&*what)) {
      return "began " + std::to_string(began->pages);
    }
    return "over " + std::to_string(std::get<StormOver>(*what).suppressed);
  }

  decision::Rules rules_;
  Storm storm_;
};

TEST_F(StormTest, FewPagesAreNone) {
  page(100);
  page(100);
  EXPECT_FALSE(on(100));
  EXPECT_EQ(due(100), "");
}

TEST_F(StormTest, ManyPagesAreOneAndItIsToldOnce) {
  page(100);
  page(104);
  page(109);
  EXPECT_TRUE(on(109));
  EXPECT_EQ(due(109), "began 3");
  EXPECT_EQ(due(109), "");
  page(110);
  EXPECT_EQ(due(110), "");
}

TEST_F(StormTest, PagesAWholeWindowApartAreNone) {
  page(100);
  page(105);
  page(110);
  EXPECT_FALSE(on(110));
  page(114);  // 105, 110, 114
  EXPECT_TRUE(on(114));
}

TEST_F(StormTest, EndsWhenTheRateWasLowerForTheSameTime) {
  pages({100, 101, 102});
  EXPECT_EQ(due(102), "began 3");
  storm_.suppress();
  storm_.suppress();
  EXPECT_TRUE(on(119));  // as high until 110, lower from then on
  EXPECT_EQ(due(119), "");
  EXPECT_FALSE(on(120));
  EXPECT_EQ(due(120), "over 2");
  EXPECT_EQ(due(120), "");
}

TEST_F(StormTest, ASinglePageDoesNotProlongIt) {
  pages({100, 101, 102, 115});
  EXPECT_FALSE(on(120));
}

TEST_F(StormTest, MorePagesAtTheRateProlongIt) {
  pages({100, 101, 102, 109});  // 101, 102, 109
  EXPECT_TRUE(on(120));
  EXPECT_FALSE(on(121));
}

TEST_F(StormTest, BeginningAndEndAreToldEvenWhenNobodyAskedInBetween) {
  pages({100, 101, 102});
  storm_.suppress();
  EXPECT_EQ(due(500), "began 3");
  EXPECT_EQ(due(500), "over 1");
}

TEST_F(StormTest, ASecondOneIsToldAgain) {
  pages({100, 101, 102});
  due(102);
  due(200);
  pages({300, 301, 302});
  EXPECT_EQ(due(302), "began 3");
}

TEST_F(StormTest, ASecondOneBeforeTheEndWasTakenContinuesTheFirst) {
  pages({100, 101, 102});
  due(102);
  storm_.suppress();
  pages({300, 301, 302});
  storm_.suppress();
  EXPECT_EQ(due(302), "");
  EXPECT_EQ(due(400), "over 2");
}

TEST_F(StormTest, NewRulesTakeTheLastPagesAlong) {
  rules_.storm_pages = 100;
  pages({100, 101, 102});
  EXPECT_FALSE(on(102));
  rules_.storm_pages = 4;
  page(103);
  EXPECT_EQ(due(103), "began 4");
}

// By its definition, second by second: on while the rate was reached within the
// last storm_seconds.
bool reached(const std::vector<std::uint64_t>& pages, std::uint64_t at,
             const decision::Rules& rules) {
  const auto within = std::count_if(pages.begin(), pages.end(), [&](std::uint64_t page) {
    return page <= at && page + rules.storm_seconds > at;
  });
  return within >= rules.storm_pages;
}

bool on_by_definition(const std::vector<std::uint64_t>& pages, std::uint64_t now,
                      const decision::Rules& rules) {
  for (std::uint64_t at = now - rules.storm_seconds; at <= now; ++at) {
    if (reached(pages, at, rules)) return true;
  }
  return false;
}

TEST_F(StormTest, IsOnAsItsDefinitionSays) {
  std::mt19937 random(2);
  std::vector<std::uint64_t> seen;
  std::uint64_t now = 1000;
  int seconds_on = 0;
  for (int step = 0; step < 2000; ++step) {
    now += random() % 9;
    if (random() % 3 != 0) {
      page(now);
      seen.push_back(now);
    }
    ASSERT_EQ(on(now), on_by_definition(seen, now, rules_)) << step;
    seconds_on += on(now) ? 1 : 0;
  }
  EXPECT_GT(seconds_on, 200);
  EXPECT_LT(seconds_on, 1800);
}

}  // namespace
}  // namespace memfail::session
