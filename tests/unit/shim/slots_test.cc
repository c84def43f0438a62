// SPDX-License-Identifier: BSD-3-Clause
//
// Reports of threads that are no vCPU's: a vCPU is asked to take them, and may never
// come to it. The sidecar does not retire a slot before the test says so.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "shm/reply_wait.h"
#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"
#include "vmm_shim/state.h"

namespace memfail::test {
namespace {

using wire::DecidedBy;
using wire::Reason;
using wire::Verdict;

constexpr std::uint32_t kVcpus = 2;
constexpr std::uint32_t kDeadlineMs = 30;

class SlotsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    install_handler();
    ASSERT_TRUE(sidecar_.attach(vm_));
    own_lane = memfail_process_lane(vm_.shim());
  }
  void TearDown() override { ::signal(SIGBUS, SIG_DFL); }

  void dispatch() { memfail_shim_dispatch(vm_.shim()); }
  bool until(const std::function<bool()>& condition) {
    return dispatch_until(vm_.shim(), condition);
  }
  // Dispatches all the time: what a vCPU's thread does need not be dispatch's to see.
  bool turn_until(const std::function<bool()>& condition) {
    const std::uint64_t end = shm::monotonic_ns() + 5000 * shim::kNsPerMs;
    while (!condition() && shm::monotonic_ns() < end) {
      dispatch();
      std::this_thread::yield();
    }
    return condition();
  }
  // Incident n of the first slot: the only one in use here.
  shm::Claim slot(std::uint64_t n = 1) const { return claim(kVcpus, n, sidecar_.geometry()); }
  // The report of a page, posted to vCPU 0.
  void post(std::uint64_t page) {
    raise_sigbus(kOptional, vm_.hva(page));
    dispatch();
    ASSERT_EQ(vm_.posted(), 1U);
  }
  // The same, and nobody comes to it before the deadline.
  void post_in_vain(std::uint64_t page) {
    post(page);
    ASSERT_TRUE(until([&] { return sidecar_.outcome(slot()).has_value(); }));
  }
  // Which snapshot is there: dispatch's has no vCPU behind it and says no generation.
  std::uint32_t generation_of_snapshot(std::uint64_t n = 1) {
    const auto snapshot = sidecar_.line<wire::SnapshotLine>(slot(n), shm::LineKind::kSnapshot);
    EXPECT_TRUE(snapshot);
    return snapshot ? snapshot->region_generation() : ~0U;
  }
  std::uint32_t reports_of(std::uint32_t index) {
    shim::PoisonedPage page;
    EXPECT_TRUE(vm_.shim()->poison.page(index, page));
    return page.reports;
  }

  TempDir dir_;
  std::string path_ = dir_.file("s");
  FakeSidecar sidecar_{path_};
  TestVm vm_{[this](memfail_config& config) {
               config.socket_path = path_.c_str();
               config.deadline_ms = kDeadlineMs;
             },
             kVcpus};
};

TEST_F(SlotsTest, AVcpuThatComesToItInTimeHandlesIt) {
  post(2);
  EXPECT_FALSE(sidecar_.outcome(slot()));
  sidecar_.answer(slot(), verdict_only(Verdict::ignore, Reason::mce_in_progress));
  EXPECT_EQ(vm_.run_posted(0), 1U);
  const auto outcome = sidecar_.outcome(slot());
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->vcpu(), 0U);
  EXPECT_EQ(vm_.incidents().size(), 1U);
}

TEST_F(SlotsTest, AtTheDeadlineItIsRecordedWithoutAVcpu) {
  post_in_vain(2);
  const auto outcome = sidecar_.outcome(slot());
  EXPECT_EQ(outcome->vcpu(), wire::kNoVcpu);
  EXPECT_EQ(outcome->decided_by(), DecidedBy::builtin);
  EXPECT_EQ(outcome->verdict(), Verdict::ignore);
  EXPECT_GE(outcome->latency_ns(), kDeadlineMs * shim::kNsPerMs);
  ASSERT_EQ(vm_.incidents().size(), 1U);
  EXPECT_EQ(vm_.incidents()[0].vcpu, -1);
  EXPECT_EQ(vm_.incidents()[0].hva, vm_.hva(2));
  EXPECT_EQ(vm_.poisoned().size(), 1U);
}

TEST_F(SlotsTest, NotBeforeTheDeadline) {
  post(2);
  const auto posted = shm::monotonic_ns();
  ASSERT_TRUE(until([&] { return !vm_.incidents().empty(); }));
  EXPECT_GE(shm::monotonic_ns() - posted, (kDeadlineMs - 1) * shim::kNsPerMs);
}

TEST_F(SlotsTest, AVcpuThatComesToItLateDoesNothing) {
  post_in_vain(2);
  const auto before = sidecar_.outcome(slot());
  const auto fallbacks = vm_.status().fallbacks;
  EXPECT_EQ(vm_.run_posted(0), 1U);
  EXPECT_EQ(vm_.incidents().size(), 1U);
  EXPECT_EQ(vm_.poisoned().size(), 1U);
  EXPECT_TRUE(vm_.machine_checks().empty());
  EXPECT_EQ(vm_.status().fallbacks, fallbacks);
  EXPECT_EQ(reports_of(0), 1U) << "one report";
  EXPECT_EQ(generation_of_snapshot(), 0U) << "a line is written once for an incident";
  EXPECT_EQ(sidecar_.outcome(slot())->latency_ns(), before->latency_ns());
  EXPECT_EQ(memfail_handle(vm_.lane(0)), MEMFAIL_RESUME);
}

TEST_F(SlotsTest, AVcpuThatIsStillAtItAtTheDeadlineIsNotDisturbed) {
  bool passed = false;
  vm_.on_set_mce = [&] { passed = until([&] { return vm_.shim()->slot_tasks[0].until_ns == 0; }); };
  post(2);
  sidecar_.answer(slot(), inject_optional(TestVm::gpa(2)));
  EXPECT_EQ(vm_.run_posted(0), 1U);
  EXPECT_TRUE(passed) << "the deadline";
  EXPECT_EQ(generation_of_snapshot(), 1U) << "the vCPU's own";
  EXPECT_EQ(reports_of(0), 1U);
  ASSERT_EQ(vm_.incidents().size(), 1U);
  EXPECT_EQ(vm_.incidents()[0].vcpu, 0);
  EXPECT_EQ(vm_.incidents()[0].verdict, static_cast<int>(Verdict::inject));
}

TEST_F(SlotsTest, WhileItsPostIsOutAnotherReportIsRecordedAtOnce) {
  post_in_vain(2);
  sidecar_.retire(slot());
  raise_sigbus(kOptional, vm_.hva(3));
  dispatch();
  EXPECT_EQ(vm_.posted(), 1U) << "the first one's, which the vCPU may look at any time";
  const auto second = sidecar_.outcome(slot(2));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->vcpu(), wire::kNoVcpu);
  EXPECT_EQ(vm_.run_posted(0), 1U);
  ASSERT_EQ(vm_.incidents().size(), 2U);
  EXPECT_EQ(vm_.incidents()[1].hva, vm_.hva(3));
  EXPECT_EQ(generation_of_snapshot(2), 0U);
}

TEST_F(SlotsTest, OnceItsPostIsBackTheSlotIsPostedAgain) {
  post_in_vain(2);
  sidecar_.retire(slot());
  EXPECT_EQ(vm_.run_posted(0), 1U);
  post(3);
  sidecar_.answer(slot(2), verdict_only(Verdict::ignore, Reason::mce_in_progress));
  EXPECT_EQ(vm_.run_posted(0), 1U);
  const auto second = sidecar_.outcome(slot(2));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->vcpu(), 0U);
  EXPECT_EQ(second->decided_by(), DecidedBy::sidecar);
  EXPECT_EQ(vm_.incidents().size(), 2U);
}

TEST_F(SlotsTest, SlotsHaveDeadlinesOfTheirOwn) {
  post(2);
  raise_sigbus(kOptional, vm_.hva(3));
  dispatch();
  EXPECT_EQ(vm_.posted(), 2U);
  ASSERT_TRUE(until([&] { return vm_.incidents().size() == 2; }));
  EXPECT_EQ(vm_.run_posted(0), 2U);
  EXPECT_EQ(vm_.incidents().size(), 2U);
}

TEST_F(SlotsTest, BetweenAVcpuAndTheDeadlineEachReportEndsOnce) {
  constexpr std::uint64_t kReports = 200;
  std::atomic<bool> done{false};
  std::thread vcpu([&] {
    for (unsigned turn = 0; !done.load(); ++turn) {
      vm_.run_posted(0);
      // About as long as a deadline from now: sooner one time, later another.
      std::this_thread::sleep_for(std::chrono::microseconds(turn * 700 % 2000));
    }
  });
  vm_.shim()->deadline_ns = shim::kNsPerMs;
  for (std::uint64_t n = 1; n <= kReports && !HasFailure(); ++n) {
    raise_sigbus(kOptional, vm_.hva(n % kRamPages));
    EXPECT_TRUE(turn_until([&] { return vm_.incidents().size() == n; })) << n;
    EXPECT_TRUE(turn_until([&] { return vm_.posted() == 0; })) << n;
    EXPECT_TRUE(sidecar_.outcome(slot(n))) << n;
    EXPECT_TRUE(sidecar_.line<wire::SnapshotLine>(slot(n), shm::LineKind::kSnapshot)) << n;
    sidecar_.retire(slot(n));
  }
  done.store(true);
  vcpu.join();
  vm_.run_posted(0);
  EXPECT_EQ(vm_.incidents().size(), kReports);
  EXPECT_EQ(vm_.status().lost_reports, 0U);
  EXPECT_EQ(vm_.status().state, MEMFAIL_ATTACHED);
}

}  // namespace
}  // namespace memfail::test
