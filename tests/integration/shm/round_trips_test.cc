// SPDX-License-Identifier: BSD-3-Clause
//
// Two million round trips between two processes, without a lost wake-up.
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/integration/shm/round_trips.h"

namespace memfail::shm {
namespace {

using testing::Tally;
using testing::Trip;

#if defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kRounds = 2'000'000 / 40;
constexpr const char* kScale = " (ThreadSanitizer: a fortieth of 2,000,000)";
#elif defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kRounds = 2'000'000 / 20;
constexpr const char* kScale = " (AddressSanitizer: a twentieth of 2,000,000)";
#else
constexpr std::uint64_t kRounds = 2'000'000;
constexpr const char* kScale = "";
#endif

void print(const char* name, const Trip& run, const Tally& tally) {
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf(
      "%s: %llu of %llu round trips%s in %.1f s, %.2f us each; %llu kicks, %llu waits, "
      "%llu found by a slice, %llu lost wakes, %llu lost kicks\n",
      name, number(tally.answered), number(run.rounds), kScale, tally.seconds,
      tally.seconds * 1e6 / static_cast<double>(run.rounds), number(tally.kicks),
      number(tally.waits), number(tally.slices), number(tally.lost_wakes),
      number(tally.lost_kicks));
  std::fflush(stdout);
}

void expect_nothing_lost(const char* name, const Trip& run) {
  const Tally tally = testing::round_trips(run);
  print(name, run, tally);
  EXPECT_EQ(tally.answered, run.rounds);
  EXPECT_EQ(tally.lost_kicks, 0U);
  EXPECT_EQ(tally.lost_wakes, 0U);
  if (tally.slices != 0) {
    std::printf("NOTE: %llu slices ended while the sidecar had no processor; it woke each time\n",
                static_cast<unsigned long long>(tally.slices));
  }
}

TEST(RoundTrips, OnOneCoreLoseNoWakeUp) {
  const int core = testing::allowed_cores().front();
  expect_nothing_lost("one core", {.rounds = kRounds, .vmm_core = core, .sidecar_core = core});
}

TEST(RoundTrips, OnTwoCoresLoseNoWakeUp) {
  const auto& cores = testing::allowed_cores();
  if (cores.size() < 2) GTEST_SKIP() << "SKIPPED: only one core is allowed here";
  expect_nothing_lost("two cores",
                      {.rounds = kRounds, .vmm_core = cores[0], .sidecar_core = cores[1]});
}

// The proof that the tests above can fail: the sidecar without its fences. How many
// are lost is the processor's affair, so this runs only when asked for, with
// --gtest_also_run_disabled_tests.
TEST(RoundTrips, DISABLED_WithoutTheSidecarsFencesLoseWakeUps) {
  const auto& cores = testing::allowed_cores();
  if (cores.size() < 2) GTEST_SKIP() << "SKIPPED: only one core is allowed here";
  Trip run{.rounds = kRounds / 4, .vmm_core = cores[0], .sidecar_core = cores[1], .fences = false};
  run.patience_ns = testing::kSecondNs / 20;
  const Tally tally = testing::round_trips(run);
  print("two cores, no fences", run, tally);
  EXPECT_EQ(tally.answered, run.rounds) << "lost, but found again by the test's own kick";
  EXPECT_GT(tally.lost_kicks + tally.lost_wakes, 0U);
}

}  // namespace
}  // namespace memfail::shm
