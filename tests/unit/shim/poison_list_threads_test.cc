// SPDX-License-Identifier: BSD-3-Clause
//
// The list among many threads.
#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include "tests/unit/shim/poison_list_fixture.h"
#include "vmm_shim/poison_list.h"

namespace memfail::test {
namespace {

using decision::History;
using decision::Severity;
using shim::PoisonedPage;
using shim::PoisonList;

class ManyThreads : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kThreads = 8;
  static constexpr std::uint64_t kRounds = 500;
  static constexpr std::uint32_t kCapacity = 64;

  ManyThreads() { list_.use(items_.data(), kCapacity); }
  void run(const std::function<void(std::uint64_t thread)>& work) {
    std::vector<std::thread> threads;
    for (std::uint64_t i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
    for (std::thread& thread : threads) thread.join();
  }

  std::array<PoisonedPage, kCapacity> items_;
  PoisonList list_;
};

TEST_F(ManyThreads, CountEachReportOnce) {
  std::atomic<std::uint64_t> first{0};
  run([&](std::uint64_t) {
    for (std::uint64_t i = 0; i < kRounds; ++i) {
      const auto where = at((i % items_.size()) * kSmall);
      const History history =
          list_.note_report(where, {Severity::kActionRequired, false, kNow}, kWindow);
      first.fetch_add(history.known ? 0 : 1);
    }
  });
  EXPECT_EQ(first.load(), items_.size()) << "a page is new to one of them only";
  EXPECT_EQ(list_.size(), items_.size());
  std::uint64_t reports = 0;
  std::set<std::uint64_t> seen;
  PoisonedPage page;
  for (std::uint32_t i = 0; list_.page(i, page); ++i) {
    reports += page.reports;
    seen.insert(page.gpa);
    EXPECT_EQ(page.repeats, page.reports);
  }
  EXPECT_EQ(reports, kThreads * kRounds);
  EXPECT_EQ(seen.size(), items_.size()) << "none is there twice";
}

// Each thread reports, remembers, tells and removes pages of its own, while it looks at
// those of the others.
TEST_F(ManyThreads, LeaveTheListAsTheirLastWordsSay) {
  run([&](std::uint64_t thread) {
    for (std::uint64_t i = 0; i < kRounds; ++i) {
      const auto where = at((thread * 4 + i % 4) * kSmall);
      list_.note_report(where, {Severity::kActionRequired, false, kNow + i}, kWindow);
      list_.note_to_tell(where, true);
      PoisonedPage page;
      for (std::uint32_t cursor = 0; list_.next_to_tell(cursor, page);) {
        EXPECT_TRUE(page.to_tell);
        EXPECT_EQ(page.hva, kRam + page.gpa) << "a whole copy";
      }
      list_.take_back_repeat(where);
      if (i % 3 == 0) list_.note_told(where);
      if (i % 3 == 1) list_.note_repair(where.hva, wire::Repair::repaired);
      const std::uint64_t message = thread * kRounds + i + 1;
      list_.say_repairs(&page, 1, message);  // of whomever
      list_.repairs_heard(message);
      if (i % 100 == 0) list_.forget_told();
      (void)list_.has_to_tell();
    }
    for (std::uint64_t i = 0; i < 4; ++i) {
      list_.note_repair(at((thread * 4 + i) * kSmall).hva, wire::Repair::repaired);
    }
  });
  std::array<PoisonedPage, kCapacity> said;
  list_.say_repairs(said.data(), kCapacity, ~std::uint64_t{0});
  list_.repairs_heard(~std::uint64_t{0});
  EXPECT_EQ(list_.size(), 0U);
  EXPECT_EQ(list_.left_out(), 0U);
  EXPECT_FALSE(list_.has_to_tell());
}

}  // namespace
}  // namespace memfail::test
