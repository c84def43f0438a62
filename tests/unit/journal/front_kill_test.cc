// SPDX-License-Identifier: BSD-3-Clause
//
// Whoever keeps a front may be killed between any two instructions: what is found is
// what was appended, up to some record, and nothing else.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "tests/integration/shm/child.h"
#include "tests/unit/journal/front_fixture.h"
#include "tests/unit/shm/single_step.h"

namespace memfail::journal {
namespace {

using shm::testing::Child;
using shm::testing::kStride;
using shm::testing::SingleStep;
using testing::append_numbered;
using testing::must_open;
using testing::payload_for;

// A step costs a signal: in the short form every third instruction is taken.
const long kEvery = kStride * (std::getenv("MEMFAIL_LONG") != nullptr ? 1 : 3);

void kill_self() { ::syscall(SYS_kill, ::syscall(SYS_getpid), SIGKILL); }

class AKilledFront : public ::testing::Test {
 protected:
  static bool append_one(Front& front, std::uint64_t number, std::size_t length) {
    const std::vector<std::byte> payload = payload_for(number, length);
    return front.append({RecordType::kVerdict, number, 0, payload});
  }

  // Nothing but the append itself is stepped through.
  static auto appending(std::span<const std::byte> payload, std::uint64_t number) {
    return [payload, number](Front& front) {
      (void)front.append({RecordType::kVerdict, number, 0, payload});
    };
  }

  // Brings a front so far that one append more writes a pad and goes round.
  static void to_the_end_of_the_lap(Front& front) {
    std::uint64_t number = 1;
    while (front.capacity() - front.head() % front.capacity() > 200) {
      ASSERT_TRUE(append_one(front, number++, 80));
      front.release(front.head());
    }
  }

  // One step of a front's life, killed after its `at`-th instruction (0: not at all).
  template <typename Prepare, typename Act>
  long step(const Prepare& prepare, const Act& act, long at) {
    OpenFront opened = must_open(request_);
    prepare(opened.front);
    return SingleStep::run(
        [&] {
          act(opened.front);
          __asm__ volatile("nop" ::: "memory");
        },
        at, kill_self);
  }

  struct Found {
    int before = 0;
    int after = 0;
  };

  // Kills it after each instruction; `records` stood there before, one more after.
  template <typename Prepare, typename Act>
  Found at_each_instruction(const Prepare& prepare, const Act& act, std::uint64_t records) {
    const SingleStep stepping;
    const long steps = step(prepare, act, 0);
    Found found;
    // The last one always: few are left once the record counts.
    for (long at = 1; at <= steps; at = at == steps ? at + 1 : std::min(at + kEvery, steps)) {
      std::filesystem::remove(request_.path);
      Child writer([&] {
        step(prepare, act, at);
        kill_self();
        return 0;
      });
      EXPECT_TRUE(writer.died_of(SIGKILL));
      const OpenFront again = must_open(request_);
      EXPECT_EQ(again.damaged, 0u) << "step " << at << " of " << steps;
      const std::uint64_t now = records_in(again.front);
      EXPECT_TRUE(now == records || now == records + 1) << "step " << at << ": " << now;
      (now == records ? found.before : found.after) += 1;
    }
    std::printf("SIGKILL after each of %ld instructions (every %ld): before %d, after %d\n", steps,
                kEvery, found.before, found.after);
    return found;
  }

  static std::uint64_t records_in(const Front& front) {
    std::uint64_t count = 0;
    FrontItem item = front.read(front.tail());
    for (; item.state == FrontRead::kRecord; item = front.read(item.next)) {
      EXPECT_TRUE(std::ranges::equal(item.record.payload,
                                     payload_for(item.record.number, item.record.payload.size())));
      ++count;
    }
    return count;
  }

  testing::TmpfsDirectory directory_;
  FrontRequest request_ = testing::request_for(directory_);
};

TEST_F(AKilledFront, HoldsARecordWholeOrNotAtAll) {
  if (!shm::testing::kCanStep) GTEST_SKIP() << "SKIPPED under ThreadSanitizer: no single steps";
  const std::vector<std::byte> payload = payload_for(4, 24);
  const Found found = at_each_instruction(
      [](Front& front) {
        for (std::uint64_t number = 1; number <= 3; ++number) append_one(front, number, 200);
      },
      appending(payload, 4), 3);
  EXPECT_GT(found.before, 0);
  EXPECT_GT(found.after, 0);
}

TEST_F(AKilledFront, GoesRoundWithThePadOrNotAtAll) {
  if (!shm::testing::kCanStep) GTEST_SKIP() << "SKIPPED under ThreadSanitizer: no single steps";
  const std::vector<std::byte> payload = payload_for(9999, 160);
  const Found found = at_each_instruction([](Front& front) { to_the_end_of_the_lap(front); },
                                          appending(payload, 9999), 0);
  EXPECT_GT(found.before, 0);
  EXPECT_GT(found.after, 0);
}

TEST_F(AKilledFront, IsMadeWholeOrMadeAgain) {
  if (!shm::testing::kCanStep) GTEST_SKIP() << "SKIPPED under ThreadSanitizer: no single steps";
  const SingleStep stepping;
  const auto make = [&](long at) {
    return SingleStep::run([&] { EXPECT_TRUE(open_front(request_)); }, at, kill_self);
  };
  const long steps = make(0);
  for (long at = 1; at <= steps; at += steps / 60 + 1) {
    std::filesystem::remove(request_.path);
    Child maker([&] {
      make(at);
      kill_self();
      return 0;
    });
    ASSERT_TRUE(maker.died_of(SIGKILL));
    const OpenFront again = must_open(request_);
    ASSERT_EQ(again.front.used(), 0u) << "step " << at << " of " << steps;
  }
}

TEST_F(AKilledFront, KilledAtRandomMomentsHoldsWhatComesOneAfterTheOther) {
  std::mt19937 random(20260303);
  std::uint64_t first = 1;
  std::uint64_t records = 0;
  for (int life = 0; life < 60; ++life) {
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe(pipe.data()), 0);
    Child writer([&] {
      OpenFront opened = must_open(request_);
      std::uint64_t number = first;
      for (FrontItem item = opened.front.read(opened.front.tail());
           item.state == FrontRead::kRecord; item = opened.front.read(item.next)) {
        number = item.record.number + 1;
      }
      for (;; ++number) {
        while (!append_numbered(opened.front, number)) {
          opened.front.release(opened.front.read(opened.front.tail()).next);
        }
        if (::write(pipe[1], "x", 1) != 1) return 1;
      }
    });
    // Killed some records on, wherever it stands then.
    const std::uint64_t until = random() % 500 + 1;
    std::array<char, 1> byte{};
    for (std::uint64_t n = 0; n < until; ++n) ASSERT_EQ(::read(pipe[0], byte.data(), 1), 1);
    writer.kill();
    ASSERT_TRUE(writer.died_of(SIGKILL));
    ::close(pipe[0]);
    ::close(pipe[1]);
    const OpenFront again = must_open(request_);
    ASSERT_EQ(again.damaged, 0u);
    const FrontItem oldest = again.front.read(again.front.tail());
    ASSERT_EQ(oldest.state, FrontRead::kRecord);
    const std::uint64_t held = testing::count_from(again.front, oldest.record.number);
    ASSERT_GE(oldest.record.number + held, first + until);
    first = oldest.record.number + held;
    records += held;
  }
  EXPECT_GT(records, 0u);
}

}  // namespace
}  // namespace memfail::journal
