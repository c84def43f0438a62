// SPDX-License-Identifier: BSD-3-Clause
//
// No event is missing or doubled: through the areas, the intake, the gate and the
// record store, with hang-ups in between, the counts of the events add up to what the
// VMM reported.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <vector>

#include "served_vm.h"
#include "shm/lane.h"

namespace memfail::session {
namespace {

using shm::Claim;
using shm::LineKind;
using test::ServedVm;
using wire::Verdict;

constexpr std::uint32_t kVcpus = 3;
constexpr int kSteps = 2500;

class EveryIncident : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  EveryIncident() {
    decision::Rules rules;
    rules.storm_pages = below(2) == 0 ? 4 + below(6) : 1000;
    rules.repeat_seconds = 1 + below(10);
    vm_.session().set_rules(rules);
  }

  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_()) % limit; }
  bool one_in(std::uint32_t count) { return below(count) == 0; }

  std::optional<Claim> any_claim() {
    const std::uint32_t lane = below(kVcpus + 1);
    if (lane < kVcpus) return shm::claim_in_lane(vm_.request(), vm_.reply(), lane);
    return shm::claim_slot(vm_.request(), vm_.reply(), static_cast<std::uint32_t>(::getpid()),
                           static_cast<std::uint32_t>(::gettid()));
  }

  // Pages of RAM, now and then the VMM's own memory, or none that the kernel knows.
  std::uint64_t any_address() {
    if (one_in(12)) return one_in(2) ? 0 : 0x1000;
    return test::kServedHva + std::uint64_t{0x1000} * below(5);
  }

  void report() {
    const auto claim = any_claim();
    if (!claim) return;
    const bool slot = vm_.geometry().is_slot(claim->id.lane);
    const bool drill = one_in(6);
    const wire::ReportLine line(0, 0, wire::ReportKind::sigbus,
                                slot ? wire::ThreadKind::other : wire::ThreadKind::vcpu_in_run, 12,
                                drill ? 1 : 0, any_address(), 0, shm::monotonic_ns(),
                                one_in(3) ? 5 : 4, 1, 1, 0, 0);
    vm_.write(*claim, LineKind::kReport, line);
    if (!one_in(6)) write_snapshot(*claim);
    open_.push_back(*claim);
    ++reports_[drill];
  }

  void write_snapshot(const Claim& claim) {
    constexpr std::uint16_t kAllFields = 0x3FF;
    constexpr std::uint16_t kMceOnAndCtlGood = 0x3;
    const wire::SnapshotLine line(0, 0, kAllFields, kMceOnAndCtlGood, 0, 0, 0, wire::kNoException,
                                  0, 0, one_in(4) ? 4 : 0, 1, 0, 0, 0, 0);
    vm_.write(claim, LineKind::kSnapshot, line);
  }

  // By the sidecar's verdict, or before it, as a fallback.
  void end_one() {
    if (open_.empty()) return;
    std::swap(open_[below(static_cast<std::uint32_t>(open_.size()))], open_.back());
    const Claim claim = open_.back();
    open_.pop_back();
    constexpr Verdict kVerdicts[] = {Verdict::inject, Verdict::inject, Verdict::ignore,
                                     Verdict::retry, Verdict::reset};
    const Verdict verdict = kVerdicts[below(5)];
    const auto by = vm_.is_answered(claim) ? wire::DecidedBy::sidecar : wire::DecidedBy::builtin;
    const auto delivered = verdict != Verdict::inject ? wire::Delivered::none
                           : one_in(5)                ? wire::Delivered::dropped
                                                      : wire::Delivered::delivered;
    const wire::OutcomeLine line(0, 0, verdict, by, delivered, wire::Reason::guest_memory, 9, 0, 0,
                                 0, wire::kNoVcpu, 0, wire::kNoAddress, 0, 0, 0);
    vm_.write(claim, LineKind::kOutcome, line);
  }

  void serve() {
    const auto served = vm_.session().serve();
    ASSERT_TRUE(served) << served.error().text;
  }

  void hang_up_and_come_back() {
    vm_.session().detach();
    shm::keep_retired(vm_.request(), vm_.reply());
    vm_.attach();
  }

  void step() {
    if (one_in(3)) report();
    if (one_in(3)) end_one();
    if (one_in(2)) serve();
    if (one_in(80)) hang_up_and_come_back();
    if (one_in(100)) shm::count_lost_report(vm_.request()), ++lost_;
    if (one_in(100)) shm::count_backing_store(vm_.request()), ++backing_store_;
  }

  // What the events say, by what their counts count.
  void add_up() {
    auto& records = vm_.host().records();
    ASSERT_EQ(records.first_seq(), 1U) << "all of them are kept";
    for (std::uint64_t seq = 1; seq < records.next_seq(); ++seq) {
      const wire::EventRecord& event = *records.event(seq);
      ASSERT_EQ(event.seq(), seq);
      ASSERT_GT(event.count(), 0U);
      if (event.sequence() != 0) {
        ASSERT_TRUE(own_.insert({event.lane(), event.sequence()}).second) << "told twice";
      }
      counted(event) += event.count();
    }
  }

  std::uint64_t& counted(const wire::EventRecord& event) {
    switch (event.reason()) {
      case wire::Reason::storm:
        return storm_pages_;
      case wire::Reason::lane_full:
        return lost_told_;
      case wire::Reason::backing_store:
        return backing_store_told_;
      case wire::Reason::half_written:
        return half_written_told_;
      default:
        return told_[event.drill()];
    }
  }

  std::mt19937 random_{GetParam()};
  ServedVm vm_{kVcpus};
  std::vector<Claim> open_;
  std::map<bool, std::uint64_t> reports_, told_;  // by drill
  std::set<std::pair<std::uint32_t, std::uint64_t>> own_;
  std::uint64_t lost_ = 0, lost_told_ = 0;
  std::uint64_t backing_store_ = 0, backing_store_told_ = 0;
  std::uint64_t half_written_ = 0, half_written_told_ = 0;
  std::uint64_t storm_pages_ = 0;
};

TEST_P(EveryIncident, IsInExactlyOneCount) {
  for (int i = 0; i < kSteps && !HasFatalFailure(); ++i) step();
  serve();  // the counters are looked at with the cells
  for (std::uint32_t lane = 0; lane < kVcpus; ++lane) {  // the last word of a dying thread
    half_written_ += shm::claim_in_lane(vm_.request(), vm_.reply(), lane) ? 1 : 0;
  }
  vm_.session().exit();
  ASSERT_NO_FATAL_FAILURE(add_up());
  EXPECT_GT(reports_[false], 100U);
  EXPECT_GT(reports_[true], 10U);
  EXPECT_EQ(told_[false], reports_[false]);
  EXPECT_EQ(told_[true], reports_[true]);
  EXPECT_EQ(lost_told_, lost_);
  EXPECT_EQ(backing_store_told_, backing_store_);
  EXPECT_EQ(half_written_told_, half_written_);
  EXPECT_LT(own_.size(), reports_[false] + reports_[true]) << "some had no event of their own";
}

INSTANTIATE_TEST_SUITE_P(Seeds, EveryIncident, ::testing::Range(1U, 33U));

}  // namespace
}  // namespace memfail::session
