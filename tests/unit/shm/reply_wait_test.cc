// SPDX-License-Identifier: BSD-3-Clause
#include "shm/reply_wait.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "shm/descriptor.h"
#include "tests/unit/shm/areas.h"

namespace memfail::shm {
namespace {

using testing::Areas;
constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kLong = 60'000 * kMs;  // a test that needs it has failed

class ReplyWait : public ::testing::Test {
 protected:
  ReplyWait() : request_(areas_.shim_request()), reply_(areas_.shim_reply()) {
    claim_ = *claim_in_lane(request_, reply_, 0);
  }
  [[nodiscard]] WaitContext context(std::uint64_t ns) {
    return {&request_, &reply_, kick_.get(), &up_, monotonic_ns() + ns};
  }
  void reply(std::uint64_t n) {
    write_line(areas_.sidecar_reply().line(claim_.id), wire::ReplyLine(), Areas::key(0), n);
  }
  void set_word(std::uint64_t word) {
    store_word(areas_.sidecar_reply().line(claim_.id), wire::kWordOffset, word);
  }
  // Waits (bounded) until the other thread says that it waits.
  [[nodiscard]] bool until_waiting() const {
    const std::atomic_ref<std::uint32_t> waiter(*request_.waiter(claim_.id));
    const std::uint64_t until = monotonic_ns() + kLong;
    while (waiter.load() == 0) {
      if (monotonic_ns() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }

  Areas areas_{1};
  RequestView request_;
  ReplyView reply_;
  UniqueFd kick_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  alignas(4) std::uint32_t up_ = 1;
  Claim claim_;
  WaitCounts counts_;
};

TEST_F(ReplyWait, FindsAReplyThatCameBeforeTheWaitWithoutWaiting) {
  reply(claim_.n);
  EXPECT_EQ(wait_for_reply(context(kLong), claim_, counts_), WaitResult::kReplied);
  EXPECT_EQ(counts_.waits, 0U);
  EXPECT_EQ(counts_.found_by_slice, 0U);
  EXPECT_EQ(*request_.waiter(claim_.id), 0U);
}

TEST_F(ReplyWait, IsWokenByTheReply) {
  WaitResult result{};
  std::thread waiter([&] { result = wait_for_reply(context(kLong), claim_, counts_); });
  ASSERT_TRUE(until_waiting());
  reply(claim_.n);
  wake_waiter(areas_.sidecar_request(), areas_.sidecar_reply(), claim_.id);
  waiter.join();
  EXPECT_EQ(result, WaitResult::kReplied);
  EXPECT_EQ(*request_.waiter(claim_.id), 0U);
}

TEST_F(ReplyWait, OnRecordAReplyThatIsNotIsWaitedOn) {
  WaitContext wait = context(70 * kMs);
  wait.on_record = true;
  reply(claim_.n);  // its flags say nothing
  EXPECT_EQ(wait_for_reply(wait, claim_, counts_), WaitResult::kTimeout);
  wire::ReplyLine recorded;
  recorded = {0, 0, {}, {}, {}, 0, 1, {}, 0, 0, 0, 0, 0, 0, 0};
  write_line(areas_.sidecar_reply().line(claim_.id), recorded, Areas::key(0), claim_.n);
  wait.until_ns = monotonic_ns() + kLong;
  EXPECT_EQ(wait_for_reply(wait, claim_, counts_), WaitResult::kReplied);
  EXPECT_EQ(counts_.found_by_slice, 0U);
}

TEST_F(ReplyWait, WakesOnlyWhoWaits) {
  EXPECT_FALSE(wake_waiter(areas_.sidecar_request(), areas_.sidecar_reply(), claim_.id));
  *request_.waiter(claim_.id) = 1;
  EXPECT_TRUE(wake_waiter(areas_.sidecar_request(), areas_.sidecar_reply(), claim_.id));
}

TEST_F(ReplyWait, NeverTakesAReplyOnceTheDeadlineHasPassed) {
  reply(claim_.n);
  WaitContext late = context(0);
  late.until_ns = monotonic_ns() - 1;
  EXPECT_EQ(wait_for_reply(late, claim_, counts_), WaitResult::kTimeout);
  EXPECT_EQ(*request_.waiter(claim_.id), 0U);
}

TEST_F(ReplyWait, EndsAtItsDeadlineAndNotBefore) {
  const std::uint64_t begin = monotonic_ns();
  const WaitContext wait = context(70 * kMs);
  EXPECT_EQ(wait_for_reply(wait, claim_, counts_), WaitResult::kTimeout);
  EXPECT_GE(monotonic_ns() - begin, 70 * kMs);
  EXPECT_GE(counts_.waits, 1U);
  EXPECT_EQ(counts_.found_by_slice, 0U);
}

void nothing(int) {}

// Sends SIGUSR1 to one thread all the time, until the end of its scope.
class SignalStorm {
 public:
  explicit SignalStorm(pthread_t target)
      : thread_([this, target] {
          while (!stop_.load()) {
            ::pthread_kill(target, SIGUSR1);
            sent_.fetch_add(1);
            std::this_thread::yield();
          }
        }) {}
  SignalStorm(const SignalStorm&) = delete;
  SignalStorm& operator=(const SignalStorm&) = delete;
  ~SignalStorm() {
    stop_.store(true);
    thread_.join();
  }
  [[nodiscard]] std::uint64_t sent() const { return sent_.load(); }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> sent_{0};
  std::thread thread_;
};

TEST_F(ReplyWait, KeepsItsAbsoluteDeadlineUnderAStormOfSignals) {
  struct sigaction action = {};
  action.sa_handler = nothing;
  ASSERT_EQ(::sigaction(SIGUSR1, &action, nullptr), 0);
  const std::uint64_t begin = monotonic_ns();
  std::uint64_t sent = 0;
  {
    const SignalStorm signals(::pthread_self());
    EXPECT_EQ(wait_for_reply(context(150 * kMs), claim_, counts_), WaitResult::kTimeout);
    sent = signals.sent();
  }
  const std::uint64_t took = monotonic_ns() - begin;
  EXPECT_GE(took, 150 * kMs);
  EXPECT_LT(took, 20'000 * kMs) << "each signal began the wait anew?";
  EXPECT_GT(sent, 10U);
}

TEST_F(ReplyWait, FindsItsReplyUnderAStormOfSignals) {
  struct sigaction action = {};
  action.sa_handler = nothing;
  ASSERT_EQ(::sigaction(SIGUSR1, &action, nullptr), 0);
  WaitResult result{};
  std::thread waiter([&] { result = wait_for_reply(context(kLong), claim_, counts_); });
  {
    const SignalStorm signals(waiter.native_handle());
    ASSERT_TRUE(until_waiting());
    while (signals.sent() < 100) std::this_thread::yield();
    reply(claim_.n);
    wake_waiter(areas_.sidecar_request(), areas_.sidecar_reply(), claim_.id);
  }
  waiter.join();
  EXPECT_EQ(result, WaitResult::kReplied);
}

TEST_F(ReplyWait, EndsAtOnceWhenTheSessionIsDown) {
  up_ = 0;
  EXPECT_EQ(wait_for_reply(context(kLong), claim_, counts_), WaitResult::kSessionDown);
  EXPECT_EQ(counts_.waits, 0U);
}

TEST_F(ReplyWait, StillTakesAReplyThatCameBeforeTheSessionWentDown) {
  reply(claim_.n);
  up_ = 0;
  EXPECT_EQ(wait_for_reply(context(kLong), claim_, counts_), WaitResult::kReplied);
}

TEST_F(ReplyWait, IsWokenWhenTheSessionGoesDown) {
  WaitResult result{};
  std::thread waiter([&] { result = wait_for_reply(context(kLong), claim_, counts_); });
  ASSERT_TRUE(until_waiting());
  std::atomic_ref<std::uint32_t>(up_).store(0);
  wake_all(request_, reply_);
  waiter.join();
  EXPECT_EQ(result, WaitResult::kSessionDown);
}

TEST_F(ReplyWait, CallsAWordThatChangesAgainAndAgainALie) {
  set_word(2);
  WaitResult result{};
  claim_.n = 5;
  std::atomic<bool> done{false};
  std::thread waiter([&] {
    result = wait_for_reply(context(kLong), claim_, counts_);
    done.store(true);
  });
  for (std::uint64_t word = 100; !done.load(); word += 2) {
    set_word(word);
    wake_waiter(areas_.sidecar_request(), areas_.sidecar_reply(), claim_.id);
    std::this_thread::yield();
  }
  waiter.join();
  EXPECT_EQ(result, WaitResult::kLying);
}

// An old word, the odd word, and over a re-attach a fresh area's zero: no lies.
TEST_F(ReplyWait, TakesTheWordsOfAnHonestSidecarForNoLie) {
  claim_.n = 5;
  set_word(committed_word(1));
  WaitResult result{};
  std::thread waiter([&] { result = wait_for_reply(context(kLong), claim_, counts_); });
  ASSERT_TRUE(until_waiting());
  const std::uint64_t honest[] = {writing_word(5), 0, writing_word(5)};
  for (const std::uint64_t word : honest) {
    set_word(word);
    wake_waiter(areas_.sidecar_request(), areas_.sidecar_reply(), claim_.id);
    std::this_thread::yield();
  }
  reply(5);
  wake_waiter(areas_.sidecar_request(), areas_.sidecar_reply(), claim_.id);
  waiter.join();
  EXPECT_EQ(result, WaitResult::kReplied);
}

// The kick at a slice's end says that the waiter goes to sleep again; the reply then
// comes without a wake, which is the bug to be counted. A reply that comes before it
// sleeps is no such case, so it may take more than one try.
TEST_F(ReplyWait, CountsAReplyThatOnlyTheEndOfASliceShowed) {
  for (int tries = 0; tries < 50 && counts_.found_by_slice == 0; ++tries) {
    WaitResult result{};
    std::thread waiter([&] { result = wait_for_reply(context(kLong), claim_, counts_); });
    pollfd ready{kick_.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 30'000), 1);
    reply(claim_.n);
    waiter.join();
    EXPECT_EQ(result, WaitResult::kReplied);
    EXPECT_TRUE(drain_eventfd(kick_.get()));
    areas_.retire(claim_.id, claim_.n);
    claim_ = *claim_in_lane(request_, reply_, 0);
  }
  EXPECT_EQ(counts_.found_by_slice, 1U);
}

TEST_F(ReplyWait, RingsOnlyForASidecarThatSleeps) {
  auto* sleeping = areas_.sidecar_reply().sleeping();
  EXPECT_EQ(*sleeping, 1U) << "a fresh reply area says that its maker sleeps";
  EXPECT_TRUE(ring(reply_, kick_.get()));
  EXPECT_TRUE(drain_eventfd(kick_.get()));
  *sleeping = 0;
  EXPECT_FALSE(ring(reply_, kick_.get()));
  EXPECT_FALSE(drain_eventfd(kick_.get()));
  *sleeping = 1;
  EXPECT_FALSE(ring(reply_, -1));
}

TEST_F(ReplyWait, WithAFullKickEventfdDoesNotBlock) {
  const std::uint64_t most = 0xFFFFFFFFFFFFFFFE;
  ASSERT_EQ(::write(kick_.get(), &most, sizeof most), 8);
  EXPECT_TRUE(ring(reply_, kick_.get()));
  EXPECT_TRUE(drain_eventfd(kick_.get()));
  EXPECT_FALSE(drain_eventfd(kick_.get()));
}

}  // namespace
}  // namespace memfail::shm
