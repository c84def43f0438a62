// SPDX-License-Identifier: BSD-3-Clause
//
// The process lane: 16 slots that any thread may claim, and that outlive it.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "shm/lane.h"
#include "shm/raw_syscall.h"
#include "tests/unit/shm/areas.h"
#include "tests/unit/shm/dead_thread.h"

namespace memfail::shm {
namespace {

using testing::Areas;

std::uint32_t own_pid() { return static_cast<std::uint32_t>(::getpid()); }
std::uint32_t own_tid() { return static_cast<std::uint32_t>(::syscall(SYS_gettid)); }

std::optional<Claim> claim(const Areas& areas) {
  return claim_slot(areas.shim_request(), areas.shim_reply(), own_pid(), own_tid());
}

TEST(TheProcessLane, HasSixteenSlotsAndRefusesTheSeventeenth) {
  const Areas areas;
  std::set<std::uint32_t> lanes;
  for (std::uint32_t i = 0; i < kSlots; ++i) {
    const auto got = claim(areas);
    ASSERT_TRUE(got) << i;
    EXPECT_EQ(got->n, 1U);
    EXPECT_TRUE(areas.geometry.is_slot(got->id.lane));
    lanes.insert(got->id.lane);
  }
  EXPECT_EQ(lanes.size(), kSlots);
  EXPECT_FALSE(claim(areas));
  EXPECT_EQ(areas.sidecar_request().reclaimed_slots(), 0U) << "all claimers live";
}

TEST(TheProcessLane, GivesASlotAgainOnceItsIncidentIsRetired) {
  const Areas areas;
  std::vector<Claim> claims;
  for (std::uint32_t i = 0; i < kSlots; ++i) {
    claims.push_back(*claim(areas));
    areas.commit_report(claims.back());
  }
  ASSERT_FALSE(claim(areas));
  for (std::uint64_t round = 2; round < 50; ++round) {
    const CellId id = claims[round % kSlots].id;
    const std::uint64_t n = claims[round % kSlots].n;
    areas.retire(id, n);
    const auto again = claim(areas);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->id, id);
    EXPECT_EQ(again->n, n + 1);
    claims[round % kSlots] = *again;
    areas.commit_report(*again);
    ASSERT_FALSE(claim(areas));
  }
  EXPECT_EQ(areas.sidecar_request().reclaimed_slots(), 0U);
}

TEST(TheProcessLane, TakesOverTheSlotsOfADeadThreadThatCommittedNothingAndCountsThem) {
  const Areas areas;
  testing::run_and_bury([&] {
    for (std::uint32_t i = 0; i < kSlots; ++i) EXPECT_TRUE(claim(areas));
  });
  for (std::uint32_t i = 0; i < kSlots; ++i) {
    const auto got = claim(areas);
    ASSERT_TRUE(got) << i;
    EXPECT_EQ(got->n, 1U) << "the dead claimer's sequence is used again";
    EXPECT_EQ(areas.sidecar_request().reclaimed_slots(), i + 1);
  }
  EXPECT_FALSE(claim(areas));
}

TEST(TheProcessLane, NeverTakesOverWhatADeadThreadCommitted) {
  const Areas areas;
  testing::run_and_bury([&] {
    for (std::uint32_t i = 0; i < kSlots; ++i) areas.commit_report(*claim(areas));
  });
  EXPECT_FALSE(claim(areas));
  EXPECT_EQ(areas.sidecar_request().reclaimed_slots(), 0U);
  areas.retire({areas.geometry.vcpus() + 3, 0}, 1);
  const auto got = claim(areas);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->id.lane, areas.geometry.vcpus() + 3);
  EXPECT_EQ(got->n, 2U);
}

TEST(TheProcessLane, LeavesTheSlotOfALiveThreadThatHasNotCommittedYet) {
  const Areas areas;
  std::atomic<int> step{0};
  std::thread holder([&] {
    for (std::uint32_t i = 0; i < kSlots; ++i) EXPECT_TRUE(claim(areas));
    step.store(1);
    step.notify_all();
    step.wait(1);
  });
  step.wait(0);
  EXPECT_FALSE(claim(areas));
  EXPECT_EQ(areas.sidecar_request().reclaimed_slots(), 0U);
  step.store(2);
  step.notify_all();
  holder.join();
}

TEST(TheProcessLane, IsNotBlockedByALyingRetiredWord) {
  const Areas areas;
  for (std::uint32_t i = 0; i < kSlots; ++i) {
    areas.retire({areas.geometry.vcpus() + i, 0}, 77 + i);
  }
  keep_retired(areas.shim_request(), areas.shim_reply());
  for (std::uint32_t i = 0; i < kSlots; ++i) {
    const auto got = claim(areas);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->n, 1U);
  }
}

// More threads than slots, all claiming, committing and (as the sidecar) retiring
// at once: no incident of a slot is ever given to two of them.
TEST(TheProcessLane, GivesNoIncidentTwiceToThreadsThatClaimAtOnce) {
  constexpr std::uint64_t kMost = 200'000;
  constexpr int kThreads = 20;
  constexpr int kRounds = 5'000;
  const Areas areas;
  std::vector<std::vector<std::atomic<std::uint8_t>>> given;
  given.reserve(kSlots);
  for (std::uint32_t i = 0; i < kSlots; ++i) given.emplace_back(kMost);
  std::atomic<std::uint64_t> twice{0};
  std::atomic<std::uint64_t> claims{0};
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const auto got = claim(areas);
        if (!got) continue;
        const std::uint32_t slot = got->id.lane - areas.geometry.vcpus();
        if (given[slot][got->n % kMost].fetch_add(1) != 0) twice.fetch_add(1);
        claims.fetch_add(1);
        areas.commit_report(*got);
        areas.retire(got->id, got->n);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(twice.load(), 0U);
  EXPECT_EQ(areas.sidecar_request().reclaimed_slots(), 0U);
  std::uint64_t next = 0;
  for (std::uint32_t i = 0; i < kSlots; ++i) {
    next += load_word(areas.shim_request().lane(areas.geometry.vcpus() + i), wire::kLaneNextOffset);
  }
  EXPECT_EQ(next, claims.load()) << "each claim is one incident, and none is skipped";
}

}  // namespace
}  // namespace memfail::shm
