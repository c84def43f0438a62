// SPDX-License-Identifier: BSD-3-Clause
//
// No report is left lying: a commit either rings, or is found by the turn under way.
// What the event loop does (serve whom a kick came for, again while there is more)
// the tests do here, one turn at a time.
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "served_vm.h"

namespace memfail::session {
namespace {

using test::ServedVm;
using Served = Session::Served;

constexpr std::uint32_t kBusy = 4;  // cells that move in one pass: it stays awake

bool take_kick(const ServedVm& vm) {
  std::uint64_t count = 0;
  return ::read(vm.kick_fd(), &count, sizeof count) == sizeof count;
}

class ServeTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kVcpus = 32;

  Served serve() {
    const auto served = vm_.session().serve();
    EXPECT_TRUE(served) << served.error().text;
    return served.value_or(Served::kIdle);
  }
  // A report that is committed and rung for.
  shm::Claim report(std::uint32_t lane, bool* rang = nullptr) {
    const auto claim = vm_.write_report(lane);
    EXPECT_TRUE(claim);
    const bool did = vm_.ring();
    if (rang != nullptr) *rang = did;
    return claim.value_or(shm::Claim());
  }
  bool rings(std::uint32_t lane) {
    bool rang = false;
    report(lane, &rang);
    return rang;
  }
  // Has it stay awake, by as many reports as it takes.
  void keep_awake(std::uint32_t first_lane) {
    for (std::uint32_t i = 0; i < kBusy; ++i) report(first_lane + i);
    ASSERT_EQ(serve(), Served::kMore);
    take_kick(vm_);
  }
  // One incident of the lane that has been answered: its outcome makes an event.
  shm::Claim answered(std::uint32_t lane) {
    const shm::Claim claim = report(lane);
    while (serve() == Served::kMore) {
    }
    take_kick(vm_);
    EXPECT_TRUE(vm_.is_answered(claim));
    return claim;
  }
  // In the middle of the next pass that publishes something.
  void in_a_pass(const std::function<void()>& act) {
    vm_.host().on_event = [this, act] {
      vm_.host().on_event = {};
      act();
    };
  }

  ServedVm vm_{kVcpus};
};

TEST_F(ServeTest, ALoneReportIsAnsweredInOneTurnAndTheNextRings) {
  bool rang = false;
  const shm::Claim claim = report(0, &rang);
  EXPECT_TRUE(rang);
  EXPECT_EQ(serve(), Served::kIdle);
  EXPECT_TRUE(vm_.is_answered(claim));
  EXPECT_TRUE(rings(0));
}

TEST_F(ServeTest, ATurnForNothingChangesNothing) {
  EXPECT_EQ(serve(), Served::kIdle);
  EXPECT_EQ(serve(), Served::kIdle);
  EXPECT_TRUE(rings(0));
}

TEST_F(ServeTest, FewAtOnceDoNotKeepItAwake) {
  for (std::uint32_t lane = 0; lane < kBusy - 1; ++lane) report(lane);
  EXPECT_EQ(serve(), Served::kIdle);
  EXPECT_TRUE(rings(0));
}

TEST_F(ServeTest, ManyAtOnceKeepItAwakeAndNobodyNeedsToRing) {
  keep_awake(0);
  bool rang = true;
  const shm::Claim next = report(kBusy, &rang);
  EXPECT_FALSE(rang);
  EXPECT_EQ(serve(), Served::kIdle);
  EXPECT_TRUE(vm_.is_answered(next));
  EXPECT_TRUE(rings(0)) << "it sleeps again";
}

TEST_F(ServeTest, WhatComesDuringTheOneTurnOfASleeperRings) {
  const shm::Claim first = answered(5);
  vm_.write_outcome(first);
  bool rang = false;
  shm::Claim meanwhile;
  in_a_pass([&] { meanwhile = report(0, &rang); });  // whose turn is over
  EXPECT_EQ(serve(), Served::kIdle);
  EXPECT_TRUE(vm_.is_retired(first));
  EXPECT_FALSE(vm_.is_answered(meanwhile));
  EXPECT_TRUE(rang) << "or it would lie there";
  EXPECT_EQ(serve(), Served::kIdle);
  EXPECT_TRUE(vm_.is_answered(meanwhile));
}

TEST_F(ServeTest, WhatComesDuringTheTurnThatWakesItIsServedByTheNext) {
  const shm::Claim first = answered(5);
  vm_.write_outcome(first);
  for (std::uint32_t lane = 6; lane < 6 + kBusy; ++lane) report(lane);
  shm::Claim meanwhile;
  in_a_pass([&] { meanwhile = report(0); });
  EXPECT_EQ(serve(), Served::kMore);
  EXPECT_FALSE(vm_.is_answered(meanwhile));
  serve();
  EXPECT_TRUE(vm_.is_answered(meanwhile));
}

TEST_F(ServeTest, WhatComesBehindTheBackOfOneThatIsAwakeIsFoundBeforeItSleeps) {
  const shm::Claim first = answered(5);
  keep_awake(6);
  vm_.write_outcome(first);
  bool rang = true;
  shm::Claim meanwhile;
  in_a_pass([&] { meanwhile = report(0, &rang); });
  EXPECT_EQ(serve(), Served::kMore);
  EXPECT_TRUE(vm_.is_answered(meanwhile));
  EXPECT_FALSE(rang);
  EXPECT_EQ(serve(), Served::kIdle);
}

TEST_F(ServeTest, WhatComesDuringTheLastLookRingsOrIsServedAgain) {
  const shm::Claim first = answered(5);
  const shm::Claim second = answered(0);
  keep_awake(6);
  vm_.write_outcome(first);
  bool rang = false;
  shm::Claim meanwhile;
  in_a_pass([&] {
    vm_.write_outcome(second);  // for the second look, in the middle of which
    in_a_pass([&] { meanwhile = report(0, &rang); });
  });
  const Served served = serve();
  EXPECT_TRUE(vm_.is_retired(second));
  EXPECT_TRUE(vm_.is_answered(meanwhile) || rang || served == Served::kMore);
  while (serve() == Served::kMore) {
  }
  EXPECT_TRUE(vm_.is_answered(meanwhile));
  EXPECT_TRUE(rings(31));
}

TEST_F(ServeTest, MoreThanOneTurnMayDoIsDoneInSeveral) {
  std::vector<shm::Claim> claims;
  for (std::uint32_t lane = 0; lane < kVcpus; ++lane) {
    for (std::uint32_t cell = 0; cell < shm::kCellsPerLane; ++cell) claims.push_back(report(lane));
  }
  ASSERT_GT(claims.size(), std::size_t{Intake::kBudget});
  EXPECT_EQ(serve(), Served::kMore);
  EXPECT_FALSE(vm_.is_answered(claims.back()));
  while (serve() == Served::kMore) {
  }
  for (const shm::Claim& claim : claims) EXPECT_TRUE(vm_.is_answered(claim));
}

TEST_F(ServeTest, AfterAReattachItSleepsAsTheFreshAreaSays) {
  keep_awake(0);
  vm_.session().detach();
  vm_.attach();
  EXPECT_TRUE(rings(20));
  while (serve() == Served::kMore) {
  }
  EXPECT_TRUE(rings(21));
}

// ---- whatever comes, whenever it comes --------------------------------------------------

// A VMM that does something at random, also in the middle of a pass; and the event loop,
// which serves only whom a kick came for.
class RandomVmm {
 public:
  explicit RandomVmm(unsigned seed) : random_(seed) {
    vm_.host().on_event = [this] { act(); };
  }
  void run(unsigned turns) {
    for (unsigned i = 0; i < turns; ++i) {
      for (unsigned n = random_() % 8; n > 0; --n) act();
      turn();
    }
    silent_ = true;
    while (turn()) {
    }
  }
  void expect_nothing_left() {
    for (const shm::Claim& claim : asked_) EXPECT_TRUE(vm_.is_answered(claim)) << claim.n;
    for (const shm::Claim& claim : done_) EXPECT_TRUE(vm_.is_retired(claim)) << claim.n;
    EXPECT_GT(done_.size(), 0U);
  }

 private:
  // As Server::turn(); whether there was anything.
  bool turn() {
    hot_ = take_kick(vm_) || hot_;
    if (!hot_) return false;
    const auto served = vm_.session().serve();
    EXPECT_TRUE(served);
    hot_ = served.value_or(Served::kIdle) == Served::kMore;
    return true;
  }
  void act() {
    if (silent_) return;
    if (random_() % 2 == 0) {
      if (const auto claim = vm_.write_report(random_() % kLanes)) asked_.push_back(*claim);
    } else if (!asked_.empty()) {
      std::swap(asked_[random_() % asked_.size()], asked_.back());
      vm_.write_outcome(asked_.back());  // also before it is answered: a fallback's
      done_.push_back(asked_.back());
      asked_.pop_back();
    }
    (void)vm_.ring();
  }

  static constexpr std::uint32_t kLanes = 8;
  std::mt19937 random_;
  ServedVm vm_{kLanes};
  std::vector<shm::Claim> asked_;  // no outcome yet
  std::vector<shm::Claim> done_;
  bool hot_ = false;
  bool silent_ = false;
};

TEST(Serve, NothingIsLeftLyingWheneverItCame) {
  for (unsigned seed = 0; seed < 200 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    RandomVmm vmm(seed);
    vmm.run(100);
    vmm.expect_nothing_left();
  }
}

// ---- eight threads ------------------------------------------------------------------------

constexpr std::uint32_t kThreads = 8;
constexpr std::uint64_t kRounds = 1500;
constexpr std::uint64_t kNsPerMs = 1'000'000;

// The event loop on a thread of its own. It notes when it had answered what: a slice
// that ended as the answer came late is the machine's doing, one that ended long after
// it is a wake-up lost.
class LoopThread {
 public:
  explicit LoopThread(ServedVm& vm) : vm_(vm), thread_([this] { run(); }) {}
  ~LoopThread() {
    ending_.store(true);
    const std::uint64_t one = 1;
    (void)!::write(vm_.kick_fd(), &one, sizeof one);
    thread_.join();
  }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  // When `claim`, which is answered, was seen to be.
  std::uint64_t answered_ns(const shm::Claim& claim) {
    const Seen& seen = seen_[vm_.geometry().cell_index(claim.id)];
    while (seen.n.load() < claim.n) std::this_thread::yield();
    return seen.ns.load();
  }

 private:
  struct Seen {
    std::atomic<std::uint64_t> n{0};
    std::atomic<std::uint64_t> ns{0};
  };

  void run() {
    while (!ending_.load()) {
      pollfd wait{vm_.kick_fd(), POLLIN, 0};
      ::poll(&wait, 1, -1);
      take_kick(vm_);
      for (bool more = true; more;) {
        const auto served = vm_.session().serve();
        EXPECT_TRUE(served);
        more = served.value_or(Served::kIdle) == Served::kMore;
        look();
      }
    }
  }
  void look() {
    const std::uint64_t now = shm::monotonic_ns();
    for (std::uint32_t lane = 0; lane < kThreads; ++lane) {
      for (std::uint32_t cell = 0; cell < shm::kCellsPerLane; ++cell) {
        const shm::CellId id{lane, cell};
        Seen& seen = seen_[vm_.geometry().cell_index(id)];
        const std::uint64_t n = shm::load_word(vm_.reply().line(id), wire::kWordOffset) / 2;
        if (n == seen.n.load()) continue;
        seen.ns.store(now);
        seen.n.store(n);
      }
    }
  }

  ServedVm& vm_;
  std::array<Seen, kThreads * shm::kCellsPerLane + shm::kSlots> seen_;
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

// One vCPU's thread: asks, waits, says what came of it.
class Asker {
 public:
  Asker(const ServedVm& vm, LoopThread& loop, std::uint32_t lane)
      : vm_(vm), loop_(loop), lane_(lane) {}
  // False: a report was left lying.
  bool ask() {
    std::optional<shm::Claim> claim;
    while (!(claim = vm_.write_report(lane_))) std::this_thread::yield();
    (void)vm_.ring();
    if (!wait(*claim)) return false;
    vm_.write_outcome(*claim);
    (void)vm_.ring();
    return true;
  }
  [[nodiscard]] int lost_wakes() const { return lost_wakes_; }

 private:
  bool wait(const shm::Claim& claim) {
    const shm::RequestView request = vm_.request();
    const shm::ReplyView reply = vm_.reply();
    const std::uint32_t up = 1;
    const std::uint64_t begin = shm::monotonic_ns();
    // No kick of its own after a slice: that would hide one that was not given.
    const shm::WaitContext context{&request, &reply, -1, &up, begin + 20'000 * kNsPerMs};
    shm::WaitCounts counts;
    if (shm::wait_for_reply(context, claim, counts) != shm::WaitResult::kReplied) return false;
    if (counts.found_by_slice == 0) return true;
    const std::uint64_t earliest_end = begin + shm::kSliceMs * kNsPerMs;
    lost_wakes_ += loop_.answered_ns(claim) + kNsPerMs < earliest_end ? 1 : 0;
    return true;
  }

  const ServedVm& vm_;
  LoopThread& loop_;
  std::uint32_t lane_;
  int lost_wakes_ = 0;
};

TEST(Serve, EightThreadsAtOnceAreAllAnsweredAndWoken) {
  ServedVm vm(kThreads);
  std::atomic<std::uint64_t> answered{0};
  std::atomic<int> lost_wakes{0};
  {
    LoopThread loop(vm);
    std::vector<std::thread> threads;
    for (std::uint32_t lane = 0; lane < kThreads; ++lane) {
      threads.emplace_back([&, lane] {
        Asker asker(vm, loop, lane);
        for (std::uint64_t i = 0; i < kRounds && asker.ask(); ++i) answered.fetch_add(1);
        lost_wakes.fetch_add(asker.lost_wakes());
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(answered.load(), kThreads * kRounds) << "a report was left lying";
  EXPECT_EQ(lost_wakes.load(), 0);
  // The last outcomes may still lie there: their kicks came before the loop ended.
  while (*vm.session().serve() == Served::kMore) {
  }
  EXPECT_EQ(vm.session().intake().counts().incidents, kThreads * kRounds);
  EXPECT_EQ(vm.session().intake().open(), 0U);
}

}  // namespace
}  // namespace memfail::session
