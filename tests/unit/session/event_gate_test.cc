// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/event_gate.h"

#include <map>
#include <random>
#include <string>
#include <tuple>

#include "gtest/gtest.h"
#include "page_report.h"

namespace memfail::session {
namespace {

using test::as_drill;
using test::outcome_of;
using test::report_of;
using wire::Delivered;
using wire::Verdict;

class EventGateTest : public ::testing::Test {
 protected:
  EventGateTest() {
    rules_.repeat_seconds = 10;
    rules_.storm_pages = 3;
    rules_.storm_seconds = 60;
  }

  bool admit(std::uint64_t second, const PageOutcome& outcome) {
    return gate_.admit(outcome, rules_, second * kSecondNs).publish;
  }

  void storm(std::uint64_t second, bool drill = false) {
    for (int i = 0; i < 3; ++i) gate_.note_page(drill, rules_, second * kSecondNs);
  }

  // All that is due, as text.
  std::string due(std::uint64_t now_ns) {
    std::string text;
    while (const auto next = gate_.next_due(rules_, now_ns)) {
      if (!text.empty()) text += ", ";
      if (next->drill) text += "drill: ";
      text += std::visit([](const auto& what) { return word(what); }, next->what);
    }
    return text;
  }
  std::string due_at(std::uint64_t second) { return due(second * kSecondNs); }

  static std::string word(const StormBegan& what) {
    return "storm of " + std::to_string(what.pages);
  }
  static std::string word(const StormOver& what) {
    return "over, " + std::to_string(what.suppressed);
  }
  static std::string word(const Repeats& what) { return "repeats " + std::to_string(what.count); }

  decision::Rules rules_;
  EventGate gate_;
  PageOutcome told_ = outcome_of(report_of(0x1000));
};

TEST_F(EventGateTest, TwoVcpusThatMeetOnePageAreTwoEvents) {
  PageOutcome other = told_;
  other.vcpu = 1;
  EXPECT_TRUE(admit(100, told_));
  EXPECT_TRUE(admit(100, other));
  EXPECT_FALSE(admit(101, told_));
  EXPECT_FALSE(admit(101, other));
}

TEST_F(EventGateTest, WhatNamesNoPageIsAlwaysPublished) {
  PageOutcome nowhere;
  nowhere.report.where.address = decision::AddressClass::kNoAddress;
  storm(100);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(admit(100, nowhere));
}

TEST_F(EventGateTest, AStormTakesThePlaceOfItsPages) {
  storm(100);
  EXPECT_FALSE(admit(100, told_));
  EXPECT_EQ(due_at(100), "storm of 3");
  EXPECT_FALSE(admit(101, outcome_of(report_of(0x2000))));
  EXPECT_EQ(due_at(219), "");
  EXPECT_EQ(due_at(220), "over, 2");
  EXPECT_TRUE(admit(220, told_));
}

TEST_F(EventGateTest, InAStormWhatStopsTheGuestIsPublished) {
  storm(100);
  for (const Verdict verdict : {Verdict::reset, Verdict::pause, Verdict::abort}) {
    EXPECT_TRUE(admit(100, outcome_of(report_of(0x1000), verdict, Delivered::none)));
  }
  for (const Verdict verdict :
       {Verdict::inject, Verdict::inject_deferred, Verdict::retry, Verdict::ignore}) {
    EXPECT_FALSE(admit(100, outcome_of(report_of(0x1000), verdict, Delivered::none)));
  }
}

TEST_F(EventGateTest, WhatWasHeldBeforeTheStormKeepsItsOwnCount) {
  admit(100, told_);
  admit(101, told_);
  storm(102);
  EXPECT_FALSE(admit(102, told_));
  EXPECT_EQ(due_at(110), "storm of 3, repeats 1");
  EXPECT_EQ(due_at(400), "over, 1");
}

TEST_F(EventGateTest, AtTheSessionsEndAllIsTold) {
  admit(100, told_);
  admit(100, told_);
  storm(101);
  admit(101, told_);
  EXPECT_EQ(due(kEndOfTime), "storm of 3, over, 1, repeats 1");
  EXPECT_EQ(due(kEndOfTime), "");
}

TEST_F(EventGateTest, AStormOfDrillsHidesNoRealFailure) {
  storm(100, true);
  EXPECT_EQ(due_at(100), "drill: storm of 3");
  EXPECT_TRUE(admit(100, told_));
  EXPECT_FALSE(admit(100, outcome_of(as_drill(report_of(0x1000)))));
  EXPECT_EQ(due(kEndOfTime), "drill: over, 1");
}

// ---- every incident is in exactly one count ---------------------------------------

using Kind = std::tuple<std::uint64_t, std::int32_t, Verdict, Delivered, bool>;

Kind kind_of(const PageOutcome& outcome) {
  return {outcome.report.where.gpa, outcome.vcpu, outcome.verdict, outcome.delivered,
          outcome.report.drill};
}

// What came in and what went out, by kind of incident.
struct Ledger {
  std::map<Kind, std::uint64_t> incidents;
  std::map<Kind, std::uint64_t> counted;
  std::map<Kind, std::uint64_t> unpublished;
  std::map<bool, std::uint64_t> suppressed;  // by drill
  std::map<bool, int> storms;                // on, by drill
  std::uint64_t events = 0;

  void take(const PageOutcome& outcome, const Admission& admission) {
    const Kind kind = kind_of(outcome);
    ++incidents[kind];
    counted[kind] += admission.count;
    unpublished[kind] += admission.publish ? 0 : 1;
    events += admission.publish ? 1 : 0;
    ASSERT_EQ(admission.publish, admission.count > 0);
    ASSERT_TRUE(admission.publish || !decision::ends_it(outcome.verdict));
  }
  void take(const Announcement& due) {
    ++events;
    if (const auto* repeats = std::get_if<Repeats>(&due.what)) {
      counted[kind_of(repeats->outcome)] += repeats->count;
      ASSERT_GT(repeats->count, 0U);
      ASSERT_EQ(repeats->outcome.report.drill, due.drill);
      return;
    }
    if (const auto* over = std::get_if<StormOver>(&due.what))
      suppressed[due.drill] += over->suppressed;
    storms[due.drill] += std::holds_alternative<StormBegan>(due.what) ? 1 : -1;
    ASSERT_TRUE(storms[due.drill] == 0 || storms[due.drill] == 1);
  }
};

class EventGateRandom : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_()) % limit; }

  PageOutcome any_outcome() {
    constexpr Verdict kVerdicts[] = {Verdict::inject, Verdict::retry, Verdict::reset};
    constexpr Delivered kDelivered[] = {Delivered::delivered, Delivered::dropped};
    PageReport report = report_of(std::uint64_t{0x1000} * below(3));
    report.drill = below(5) == 0;
    return outcome_of(report, kVerdicts[below(20) == 0 ? 2 : below(2)], kDelivered[below(2)],
                      static_cast<std::int32_t>(below(3)) - 1);
  }

  std::mt19937 random_{GetParam()};
};

TEST_P(EventGateRandom, CountsEveryIncidentOnce) {
  const std::size_t streams[] = {1, 5, EventGate::kStreams};
  EventGate gate(streams[below(3)]);
  decision::Rules rules;
  rules.repeat_seconds = 1 + below(10);
  rules.storm_pages = 2 + below(6);
  rules.storm_seconds = 1 + below(20);
  Ledger ledger;
  std::uint64_t now = kSecondNs;
  for (int step = 0; step < 3000; ++step) {
    now += below(3) == 0 ? below(kSecondNs) : 0;
    now += below(200) == 0 ? 30 * kSecondNs : 0;
    const PageOutcome outcome = any_outcome();
    if (below(4) == 0) gate.note_page(outcome.report.drill, rules, now);
    ledger.take(outcome, gate.admit(outcome, rules, now));
    // The intake asks each time; the counts hold even if it did not.
    while (below(4) != 0) {
      const auto due = gate.next_due(rules, now);
      if (!due) break;
      ledger.take(*due);
    }
  }
  while (const auto due = gate.next_due(rules, kEndOfTime)) ledger.take(*due);

  std::map<bool, std::uint64_t> without;  // incidents that are in no count of their kind
  for (const auto& [kind, number] : ledger.incidents) {
    ASSERT_LE(ledger.counted[kind], number);
    const std::uint64_t missing = number - ledger.counted[kind];
    ASSERT_LE(missing, ledger.unpublished[kind]);
    without[std::get<bool>(kind)] += missing;
  }
  EXPECT_EQ(without[false], ledger.suppressed[false]);
  EXPECT_EQ(without[true], ledger.suppressed[true]);
  EXPECT_EQ(ledger.storms[false], 0);
  EXPECT_EQ(ledger.storms[true], 0);
  EXPECT_LT(ledger.events, 3000U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, EventGateRandom, ::testing::Range(1U, 41U));

}  // namespace
}  // namespace memfail::session
