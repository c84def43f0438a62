// SPDX-License-Identifier: BSD-3-Clause
//
// Who counts how in a broadcast's outcome. These vCPUs have no machine-check
// registers, so that whoever answers is skipped; tests/kvm tells real ones.
#include <gtest/gtest.h>

#include "shm/reply_wait.h"
#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"
#include "vmm_shim/state.h"

namespace memfail::test {
namespace {

using wire::Delivered;
using wire::SiblingRule;
using wire::Verdict;

constexpr std::uint32_t kDeadlineMs = 30;

class SiblingsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    install_handler();
    ASSERT_TRUE(sidecar_.attach(vm_));
  }
  void TearDown() override { ::signal(SIGBUS, SIG_DFL); }

  shm::Claim incident(std::uint64_t n = 1) const { return claim(0, n, sidecar_.geometry()); }
  // Incident n of vCPU 0, which the sidecar broadcasts.
  void broadcast(std::uint64_t n = 1) {
    vm_.raise_in_run(kRequired, vm_.hva(1));
    sidecar_.answer(incident(n), inject_required(TestVm::gpa(1), SiblingRule::broadcast_ready));
    EXPECT_EQ(memfail_handle(vm_.lane()), MEMFAIL_RESUME);
  }
  bool has_outcome(std::uint64_t n = 1) { return sidecar_.outcome(incident(n)).has_value(); }
  bool wait_for_outcome(std::uint64_t n = 1) {
    return dispatch_until(vm_.shim(), [&] { return has_outcome(n); });
  }
  void expect_counts(unsigned told, unsigned skipped, std::uint64_t n = 1) {
    const auto outcome = sidecar_.outcome(incident(n));
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->siblings_told(), told);
    EXPECT_EQ(outcome->siblings_skipped(), skipped);
    EXPECT_EQ(outcome->verdict(), Verdict::inject);
    EXPECT_EQ(outcome->delivered(), Delivered::unverified);
  }

  TempDir dir_;
  std::string path_ = dir_.file("s");
  FakeSidecar sidecar_{path_};
  TestVm vm_{[this](memfail_config& config) {
               config.socket_path = path_.c_str();
               config.deadline_ms = kDeadlineMs;
             },
             4};
};

TEST_F(SiblingsTest, TheOutcomeWaitsForTheLastOfThem) {
  vm_.shim()->deadline_ns = 3600 * 1000 * shim::kNsPerMs;
  broadcast();
  for (const std::uint32_t vcpu : {2U, 1U, 3U}) {
    EXPECT_FALSE(has_outcome());
    EXPECT_EQ(vm_.run_posted(vcpu), 1U);
  }
  expect_counts(0, 3);
  EXPECT_EQ(vm_.incidents().size(), 1U);
}

TEST_F(SiblingsTest, OneThatDoesNotAnswerByTheDeadlineCountsAsSkipped) {
  broadcast();
  EXPECT_EQ(vm_.run_posted(1), 1U);
  EXPECT_EQ(vm_.run_posted(3), 1U);
  ASSERT_TRUE(wait_for_outcome());
  expect_counts(0, 3);
  EXPECT_EQ(vm_.incidents().size(), 1U);
}

TEST_F(SiblingsTest, NoneThatAnswersCountsAsSkippedAllOfThem) {
  broadcast();
  ASSERT_TRUE(wait_for_outcome());
  expect_counts(0, 3);
  const auto latency = sidecar_.outcome(incident())->latency_ns();
  for (const std::uint32_t vcpu : {1U, 2U, 3U}) EXPECT_EQ(vm_.run_posted(vcpu), 1U);
  memfail_shim_dispatch(vm_.shim());
  expect_counts(0, 3);
  EXPECT_EQ(sidecar_.outcome(incident())->latency_ns(), latency) << "the outcome is written once";
  EXPECT_EQ(vm_.incidents().size(), 1U);
}

TEST_F(SiblingsTest, OneThatCannotBePostedToIsSkippedAtOnce) {
  vm_.post_answer = -3;
  broadcast();
  expect_counts(0, 3);
  EXPECT_EQ(vm_.posted(), 0U);
}

TEST_F(SiblingsTest, ALateOneCountsNeitherForItsIncidentNorForTheNext) {
  broadcast();
  ASSERT_TRUE(wait_for_outcome());
  sidecar_.retire(incident());
  for (std::uint64_t n = 2; n <= 5; ++n) {
    broadcast(n);
    ASSERT_TRUE(wait_for_outcome(n));
    sidecar_.retire(incident(n));
  }
  for (const std::uint32_t vcpu : {1U, 2U, 3U}) EXPECT_EQ(vm_.run_posted(vcpu), 5U);
  for (std::uint64_t n = 2; n <= 5; ++n) expect_counts(0, 3, n);
  EXPECT_EQ(vm_.incidents().size(), 5U);
}

TEST_F(SiblingsTest, WhoIsFirstIsNoSiblingEvenAfterTheDeadline) {
  // The event loop comes round while vCPU 0 still posts, and time is up.
  vm_.on_post = [&] {
    vm_.on_post = {};
    const std::uint64_t end = shm::monotonic_ns() + 2 * std::uint64_t{kDeadlineMs} * shim::kNsPerMs;
    while (shm::monotonic_ns() < end) memfail_shim_dispatch(vm_.shim());
  };
  broadcast();
  for (const std::uint32_t vcpu : {1U, 2U, 3U}) EXPECT_EQ(vm_.run_posted(vcpu), 1U);
  ASSERT_TRUE(wait_for_outcome());
  expect_counts(0, 3);
}

}  // namespace
}  // namespace memfail::test
