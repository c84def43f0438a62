// SPDX-License-Identifier: BSD-3-Clause
//
// A signal handler may come between any two instructions of a claim, and claims
// itself: no incident may be given twice, none may be skipped, and no lane may look
// full that is not.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <vector>

#include "shm/lane.h"
#include "tests/unit/shm/areas.h"
#include "tests/unit/shm/dead_thread.h"
#include "tests/unit/shm/single_step.h"

namespace memfail::shm {
namespace {

using testing::Areas;
using testing::kCanStep;
using testing::kStride;
using testing::SingleStep;

std::uint32_t own_pid() { return static_cast<std::uint32_t>(::getpid()); }
std::uint32_t own_tid() { return static_cast<std::uint32_t>(::syscall(SYS_gettid)); }

// What the handler needs; set before it can come.
struct Scene {
  const Areas* areas = nullptr;
  bool retire = false;
  int claims = 1;
  std::array<Claim, 4> inner{};
  int inner_count = 0;
  std::optional<Claim> (*claim)(const Areas&) = nullptr;
};
Scene scene;

std::optional<Claim> claim_lane_0(const Areas& areas) {
  return claim_in_lane(areas.shim_request(), areas.shim_reply(), 0);
}
std::optional<Claim> claim_any_slot(const Areas& areas) {
  return claim_slot(areas.shim_request(), areas.shim_reply(), own_pid(), own_tid());
}

void nested_claim() {
  for (int i = 0; i < scene.claims; ++i) {
    const auto got = scene.claim(*scene.areas);
    if (!got) return;
    scene.inner[static_cast<std::size_t>(scene.inner_count++)] = *got;
    if (!scene.retire) continue;
    scene.areas->commit_report(*got);
    scene.areas->retire(got->id, got->n);
  }
}

// One claim, interrupted after its `at`-th instruction.
std::optional<Claim> interrupted_claim(const Areas& areas, long at) {
  std::optional<Claim> outer;
  scene.areas = &areas;
  scene.inner_count = 0;
  SingleStep::run([&] { outer = scene.claim(areas); }, at, nested_claim);
  return outer;
}

// Of an undisturbed claim, the way there and back included. What it calls is bound
// at the first call, so that one is not counted.
long count_steps(const Areas& areas) {
  scene.claim(Areas(1));
  return SingleStep::run([&] { scene.claim(areas); }, 0, nullptr);
}

#define SKIP_UNLESS_STEPPING()                                              \
  if (!kCanStep)                                                            \
  GTEST_SKIP() << "SKIPPED under ThreadSanitizer: single steps would stop " \
                  "inside its run-time library"

TEST(AClaimInALane, InterruptedByAnotherAtEachInstructionGivesEachIncidentOnce) {
  SKIP_UNLESS_STEPPING();
  const SingleStep stepping;
  for (const int claims : {1, 3}) {
    scene = {.claims = claims, .claim = claim_lane_0};
    const long steps = count_steps(Areas(1));
    for (long at = 1; at <= steps; at += kStride) {
      const Areas areas(1);
      const auto outer = interrupted_claim(areas, at);
      ASSERT_TRUE(outer) << "step " << at;
      ASSERT_EQ(scene.inner_count, claims);
      std::array<int, 6> given{};
      ++given.at(outer->n);
      for (int i = 0; i < claims; ++i) ++given.at(scene.inner.at(static_cast<std::size_t>(i)).n);
      for (int n = 1; n <= claims + 1; ++n) {
        ASSERT_EQ(given.at(static_cast<std::size_t>(n)), 1) << "step " << at << ", n " << n;
      }
    }
    std::printf("a claim in a lane: %ld instructions, %d nested claims at each\n", steps, claims);
    EXPECT_GT(steps, 20);
  }
}

TEST(AClaimInALane, InterruptedByOnesThatAreDoneWithAtOnceDoesNotLookFull) {
  SKIP_UNLESS_STEPPING();
  const SingleStep stepping;
  scene = {.retire = true, .claims = 4, .claim = claim_lane_0};
  const long steps = count_steps(Areas(1));
  for (long at = 1; at <= steps; at += kStride) {
    const Areas areas(1);
    const auto outer = interrupted_claim(areas, at);
    ASSERT_TRUE(outer) << "step " << at;
    ASSERT_TRUE(outer->n == 1 || outer->n == 5) << "step " << at << " n " << outer->n;
  }
}

TEST(AClaimOfASlot, InterruptedByAnotherAtEachInstructionGivesEachIncidentOnce) {
  SKIP_UNLESS_STEPPING();
  const SingleStep stepping;
  for (const bool retire : {false, true}) {
    scene = {.retire = retire, .claims = 1, .claim = claim_any_slot};
    const long steps = count_steps(Areas(1));
    for (long at = 1; at <= steps; at += kStride) {
      const Areas areas(1);
      const auto outer = interrupted_claim(areas, at);
      ASSERT_TRUE(outer) << "step " << at;
      ASSERT_EQ(scene.inner_count, 1);
      const Claim& inner = scene.inner[0];
      ASSERT_FALSE(inner.id == outer->id && inner.n == outer->n)
          << "step " << at << ": slot " << inner.id.lane << " given twice";
      ASSERT_EQ(areas.sidecar_request().reclaimed_slots(), 0U);
    }
    std::printf("a claim of a slot: %ld instructions, one nested claim at each%s\n", steps,
                retire ? ", retired at once" : "");
  }
}

// Two claimers find the same slot of a dead thread: one gets it.
TEST(AClaimOfASlot, ThatTakesOverADeadThreadsSlotMayBeInterruptedAtEachInstruction) {
  SKIP_UNLESS_STEPPING();
  const SingleStep stepping;
  scene = {.claims = 1, .claim = claim_any_slot};
  const Areas counted(1);
  testing::run_and_bury([&] { claim_any_slot(counted); });
  const long steps = count_steps(counted);
  for (long at = 1; at <= steps; at += kStride) {
    const Areas areas(1);
    testing::run_and_bury([&] { claim_any_slot(areas); });
    const auto outer = interrupted_claim(areas, at);
    ASSERT_TRUE(outer);
    ASSERT_EQ(scene.inner_count, 1);
    ASSERT_FALSE(scene.inner[0].id == outer->id) << "step " << at;
    ASSERT_EQ(areas.sidecar_request().reclaimed_slots(), 1U) << "step " << at;
  }
}

// The same with a real timer, at moments nobody chose.
constexpr std::size_t kMostClaims = 4'000'000;
struct Storm {
  const Areas* areas = nullptr;
  std::vector<std::atomic<std::uint8_t>> given =
      std::vector<std::atomic<std::uint8_t>>(kMostClaims);
  std::atomic<std::uint64_t> claims{0};
  std::atomic<std::uint64_t> nested{0};
  std::atomic<std::uint64_t> twice{0};
};
Storm* storm = nullptr;

bool claim_and_retire() {
  const auto got = claim_lane_0(*storm->areas);
  if (!got || got->n >= storm->given.size()) return false;
  if (storm->given[got->n].fetch_add(1) != 0) storm->twice.fetch_add(1);
  storm->claims.fetch_add(1);
  storm->areas->retire(got->id, got->n);
  return true;
}

void on_storm(int) {
  if (claim_and_retire()) storm->nested.fetch_add(1);
}

class Timer {
 public:
  explicit Timer(long period_ns) {
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR2;
    EXPECT_EQ(::timer_create(CLOCK_MONOTONIC, &event, &timer_), 0);
    const itimerspec period{{0, period_ns}, {0, period_ns}};
    EXPECT_EQ(::timer_settime(timer_, 0, &period, nullptr), 0);
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { ::timer_delete(timer_); }

 private:
  timer_t timer_{};
};

TEST(AClaimInALane, UnderAStormOfRealSignalsGivesEachIncidentOnce) {
  const Areas areas(1);
  Storm own;
  own.areas = &areas;
  storm = &own;
  struct sigaction action = {};
  action.sa_handler = on_storm;
  ASSERT_EQ(::sigaction(SIGUSR2, &action, nullptr), 0);
  {
    const Timer timer(20'000);
    const double until = testing::seconds_now() + 3;
    while (testing::seconds_now() < until && own.claims < kMostClaims - 100'000) {
      for (int i = 0; i < 200; ++i) claim_and_retire();
    }
  }
  ::signal(SIGUSR2, SIG_IGN);
  storm = nullptr;
  EXPECT_EQ(own.twice.load(), 0U);
  EXPECT_EQ(load_word(areas.shim_request().lane(0), wire::kLaneNextOffset), own.claims.load());
  EXPECT_GT(own.nested.load(), 100U);
  std::printf("signal storm: %llu claims, %llu by the handler, none twice\n",
              static_cast<unsigned long long>(own.claims),
              static_cast<unsigned long long>(own.nested));
}

}  // namespace
}  // namespace memfail::shm
