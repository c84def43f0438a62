// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/doorbell.h"

#include <gtest/gtest.h>

#include <thread>

namespace memfail::journal {
namespace {

TEST(Doorbell, ReturnsAtOnceWhenThereIsWork) {
  Doorbell bell;
  bell.wait([] { return true; }, std::nullopt);
}

TEST(Doorbell, ReturnsAtItsLimitWithoutWork) {
  Doorbell bell;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
  bell.wait([] { return false; }, limit);
  EXPECT_GE(std::chrono::steady_clock::now(), limit);
}

// A lost ring would hang here until ctest's limit: the two go in step, so each
// round is a race between falling asleep and ringing.
TEST(Doorbell, NeverLosesARing) {
  constexpr int kRounds = 20'000;
  Doorbell there;
  Doorbell back;
  std::atomic<int> asked{0};
  std::atomic<int> answered{0};
  std::thread other([&] {
    for (int round = 1; round <= kRounds; ++round) {
      there.wait([&] { return asked.load(std::memory_order_acquire) >= round; }, std::nullopt);
      answered.store(round, std::memory_order_release);
      back.ring();
    }
  });
  for (int round = 1; round <= kRounds; ++round) {
    asked.store(round, std::memory_order_release);
    there.ring();
    back.wait([&] { return answered.load(std::memory_order_acquire) >= round; }, std::nullopt);
  }
  other.join();
  EXPECT_EQ(answered.load(), kRounds);
}

}  // namespace
}  // namespace memfail::journal
