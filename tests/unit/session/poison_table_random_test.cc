// SPDX-License-Identifier: BSD-3-Clause
//
// The table against a plain list of all that ever happened.
#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "page_report.h"
#include "sidecar/session/poison_table.h"

namespace memfail::session {
namespace {

using decision::Severity;
using test::by_vcpu;
using test::in_life;
using test::kHuge;
using test::kSmall;
using test::outcome_of;
using test::report_of;
using test::second;
using wire::Verdict;

class Naive {
 public:
  explicit Naive(const decision::Rules& rules) : rules_(rules) {}

  decision::History history(const PageReport& report, std::uint64_t now_ns) const {
    const std::uint64_t page = report.where.hva / kSmall;
    decision::History out;
    out.known = std::ranges::any_of(
        losses_, [page](const auto& range) { return page >= range.first && page < range.second; });
    out.guest_told = told_.contains({page, report.guest_epoch});
    const bool required = report.severity == Severity::kActionRequired;
    const auto rounds = rounds_.find(page);
    if (rounds == rounds_.end()) {
      out.repeats = required ? 1 : 0;
      return out;
    }
    for (const Round& round : rounds->second) {
      out.repeats += counts(round.back(), report.guest_epoch, now_ns) ? 1 : 0;
    }
    if (required && begins_round(rounds->second, report, now_ns)) ++out.repeats;
    return out;
  }

  bool note(const PageReport& report, Verdict verdict, std::uint64_t now_ns) {
    const std::uint64_t page = report.where.hva / kSmall;
    const std::uint64_t count = report.where.lost_size / kSmall;
    losses_.insert({page / count * count, page / count * count + count});
    if (report.severity == Severity::kActionRequired && verdict != Verdict::retry) {
      std::vector<Round>& rounds = rounds_[page];
      if (begins_round(rounds, report, now_ns)) rounds.emplace_back();
      rounds.back().push_back({now_ns, report.guest_epoch, report.vcpu});
    }
    return reported_.insert(page).second;
  }

  void tell(const PageReport& report) {
    const std::uint64_t page = report.where.hva / kSmall;
    if (reported_.contains(page)) told_.insert({page, report.guest_epoch});
  }

  void repair(std::uint64_t hva, std::uint64_t size) {
    const std::uint64_t first = hva / size * size / kSmall;
    const std::uint64_t end = first + size / kSmall;
    const auto within = [=](std::uint64_t page) { return page >= first && page < end; };
    std::erase_if(losses_, [&](const auto& range) { return within(range.first); });
    std::erase_if(reported_, within);
    std::erase_if(told_, [&](const auto& one) { return within(one.first); });
    std::erase_if(rounds_, [&](const auto& one) { return within(one.first); });
  }

  std::size_t losses() const { return losses_.size(); }
  std::size_t reported() const { return reported_.size(); }

 private:
  struct Met {
    std::uint64_t time_ns;
    std::uint32_t guest_epoch;
    std::int32_t vcpu;
  };
  using Round = std::vector<Met>;

  bool counts(const Met& met, std::uint32_t guest_epoch, std::uint64_t now_ns) const {
    return met.guest_epoch == guest_epoch &&
           now_ns - met.time_ns < rules_.repeat_seconds * kSecondNs;
  }

  bool begins_round(const std::vector<Round>& rounds, const PageReport& report,
                    std::uint64_t now_ns) const {
    if (rounds.empty() || !counts(rounds.back().back(), report.guest_epoch, now_ns)) return true;
    return std::ranges::any_of(rounds.back(), [&](const Met& met) {
      return met.vcpu == report.vcpu && counts(met, report.guest_epoch, now_ns);
    });
  }

  decision::Rules rules_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> losses_;
  std::set<std::uint64_t> reported_;
  std::set<std::pair<std::uint64_t, std::uint32_t>> told_;
  std::map<std::uint64_t, std::vector<Round>> rounds_;
};

class PoisonTableRandom : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_()) % limit; }

  // Small pages below 4 MiB, huge ones above.
  PageReport any_report() {
    const bool huge = below(2) == 0;
    const std::uint64_t gpa = (huge ? 2 + below(3) : below(2)) * kHuge + below(4) * kSmall;
    PageReport report = report_of(gpa, huge ? kHuge : kSmall);
    if (below(3) == 0) report.severity = Severity::kActionOptional;
    return by_vcpu(in_life(report, life_), static_cast<std::int32_t>(below(4)));
  }

  void expect_same(const decision::History& is, const decision::History& expected) {
    ASSERT_EQ(is.known, expected.known);
    ASSERT_EQ(is.guest_told, expected.guest_told);
    ASSERT_EQ(is.repeats, expected.repeats);
  }

  void begin_incident() {
    const PageReport report = any_report();
    expect_same(table_.history(report, rules_, now_.monotonic_ns),
                naive_.history(report, now_.monotonic_ns));
    const Verdict verdict = below(4) == 0 ? Verdict::retry : Verdict::inject;
    ASSERT_EQ(table_.note_report(report, verdict, rules_, now_),
              naive_.note(report, verdict, now_.monotonic_ns));
    ++reports_;
    open_.push_back(outcome_of(report, verdict));
  }

  // Those of several vCPUs end in any order.
  void end_incident() {
    if (open_.empty()) return;
    std::swap(open_[below(static_cast<std::uint32_t>(open_.size()))], open_.back());
    const PageOutcome outcome = open_.back();
    open_.pop_back();
    table_.note_outcome(outcome);
    if (outcome.verdict == Verdict::inject) naive_.tell(outcome.report);
  }

  void repair_one() {
    const PageReport report = any_report();
    table_.note_repaired(report.where.hva, report.where.gpa, report.where.lost_size);
    naive_.repair(report.where.hva, report.where.lost_size);
  }

  std::mt19937 random_{GetParam()};
  decision::Rules rules_;
  PoisonTable table_;
  Naive naive_{rules_};
  std::deque<PageOutcome> open_;
  Instant now_ = second(1);
  std::uint32_t life_ = 0;
  std::uint64_t reports_ = 0;
};

TEST_P(PoisonTableRandom, KnowsWhatAListOfEverythingKnows) {
  for (int step = 0; step < 3000; ++step) {
    now_.monotonic_ns += below(kSecondNs);
    now_.realtime_us += 1;
    life_ += below(100) == 0 ? 1 : 0;
    ASSERT_NO_FATAL_FAILURE(begin_incident());
    if (below(3) != 0) end_incident();
    if (below(30) == 0) repair_one();
    ASSERT_EQ(table_.broken().size(), naive_.losses());
    ASSERT_EQ(table_.pages().size(), naive_.reported());
  }
  std::uint64_t counted = 0;
  for (const auto& [page, loss] : table_.broken()) counted += loss.reports;
  for (const auto& [page, loss] : table_.repaired()) counted += loss.reports;
  EXPECT_EQ(counted, reports_);
  EXPECT_EQ(table_.refused(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PoisonTableRandom, ::testing::Range(1U, 21U));

// Sizes that contain each other, as a hostile VMM may have it.

void expect_disjoint(const PoisonTable& table) {
  const Loss* before = nullptr;
  for (const auto& [first, loss] : table.broken()) {
    ASSERT_EQ(first, loss.range.first);
    ASSERT_TRUE(before == nullptr || before->range.end() <= first);
    before = &loss;
  }
}

void expect_pages_within_losses(const PoisonTable& table) {
  for (const auto& [page, state] : table.pages()) {
    ASSERT_TRUE(std::ranges::any_of(table.broken(), [number = page](const auto& one) {
      return one.second.range.contains(number);
    }));
  }
}

TEST_P(PoisonTableRandom, StaysDisjointAndBoundedWhateverComes) {
  PoisonTable table({.losses = 16, .pages = 24, .repeats = 32});
  for (int step = 0; step < 3000; ++step) {
    const std::uint64_t gpa = std::uint64_t{below(20)} * (kHuge / 2) + below(64) * kSmall;
    const PageReport report = report_of(gpa, kSmall << below(6));
    const std::uint64_t refused = table.refused();
    table.note_report(report, Verdict::inject, rules_, now_);
    const bool known = table.history(report, rules_, now_.monotonic_ns).known;
    ASSERT_TRUE(known || table.refused() == refused + 1);
    if (below(5) == 0) {
      table.note_repaired(report.where.hva, report.where.gpa, kSmall << below(6));
    }
    ASSERT_NO_FATAL_FAILURE(expect_disjoint(table));
    ASSERT_NO_FATAL_FAILURE(expect_pages_within_losses(table));
    ASSERT_LE(table.broken().size() + table.repaired().size(), 16U);
    ASSERT_LE(table.pages().size(), 24U);
  }
  EXPECT_GT(table.refused(), 0U);
}

}  // namespace
}  // namespace memfail::session
