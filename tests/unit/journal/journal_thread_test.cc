// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/journal_thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>

#include "tests/unit/journal/front_fixture.h"
#include "tests/unit/journal/journal_fixture.h"

namespace memfail::journal {
namespace {

// A disk that can hang: calls wait until it is let go.
class Gate {
 public:
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  void open() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = false;
    }
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !closed_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = false;
};

class JournalThreadTest : public JournalFixture {
 protected:
  void SetUp() override {
    JournalFixture::SetUp();
    FrontRequest request = testing::request_for(directory_);
    request.journal = kJournalId;
    front_ = std::move(testing::must_open(request).front);
    ASSERT_TRUE(front_.valid());
    io_->fault = [this](const IoStep&) -> std::optional<int> {
      gate_.pass();
      const int error = error_.load();
      return error == 0 ? std::nullopt : std::optional(error);
    };
    thread_.emplace(front_, std::move(*files_), wake_.get());
  }
  void TearDown() override {
    gate_.open();
    thread_.reset();
  }

  void begin() { thread_->start({}); }
  // As the loop thread does.
  void append(std::size_t count) {
    const std::size_t from = records_.size();
    make(count);
    for (std::size_t i = from; i < records_.size(); ++i) {
      ASSERT_TRUE(front_.append(records_[i].view()));
    }
    thread_->ring();
  }
  std::uint64_t last_seq() const { return state_.next_seq() - 1; }

  // Waits, as the loop does, for the eventfd; a minute is for ever.
  template <typename Condition>
  bool wait_until(Condition condition) {
    while (!condition()) {
      pollfd poll{wake_.get(), POLLIN, 0};
      if (::poll(&poll, 1, 60'000) != 1) return false;
      std::uint64_t count = 0;
      (void)!::read(wake_.get(), &count, sizeof count);
    }
    return true;
  }
  bool wait_durable() {
    return wait_until([this] { return thread_->health().durable_seq == last_seq(); });
  }
  bool wait_degraded() {
    return wait_until([this] { return thread_->health().degraded_since_us != 0; });
  }

  testing::TmpfsDirectory directory_;
  Front front_;
  shm::UniqueFd wake_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  Gate gate_;
  std::atomic<int> error_{0};
  std::optional<JournalThread> thread_;
};

TEST_F(JournalThreadTest, CopiesTheFrontAndFreesIt) {
  begin();
  append(30);
  ASSERT_TRUE(wait_durable());
  ASSERT_TRUE(thread_->stop(std::chrono::minutes(1)));
  EXPECT_EQ(front_.used(), 0u);
  EXPECT_EQ(picture(recover(*io_, kGeometry, "/j")->state), picture(state_));
}

TEST_F(JournalThreadTest, CopiesWhatWasThereBeforeItStarted) {
  append(30);
  begin();
  ASSERT_TRUE(wait_durable());
}

TEST_F(JournalThreadTest, WritesWhatIsInTheFrontBeforeItEnds) {
  begin();
  append(30);
  ASSERT_TRUE(thread_->stop(std::chrono::minutes(1)));
  EXPECT_EQ(front_.used(), 0u);
  EXPECT_EQ(thread_->health().durable_seq, last_seq());
}

TEST_F(JournalThreadTest, RunsWhatItIsGivenBeforeAllElseWithItsSignalsBlocked) {
  std::atomic<bool> ran{false};
  sigset_t mask;
  thread_->start([&] {
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    ran.store(true);
  });
  ASSERT_TRUE(thread_->stop(std::chrono::minutes(1)));
  ASSERT_TRUE(ran.load());
  EXPECT_EQ(sigismember(&mask, SIGTERM), 1);
  EXPECT_EQ(sigismember(&mask, SIGBUS), 0);
}

TEST_F(JournalThreadTest, KeepsRecordsInTheFrontWhileTheDiskFailsAndGoesOnByItself) {
  error_ = EIO;
  begin();
  append(20);
  ASSERT_TRUE(wait_degraded());
  EXPECT_EQ(thread_->health().error, EIO);
  EXPECT_EQ(thread_->health().durable_seq, 0u);
  EXPECT_GT(front_.used(), 0u);
  error_ = 0;
  ASSERT_TRUE(wait_durable());
  ASSERT_TRUE(wait_until([this] { return thread_->health().degraded_since_us == 0; }));
  EXPECT_EQ(thread_->health().error, 0);
  const std::vector<Outage> outages = thread_->take_outages();
  ASSERT_EQ(outages.size(), 1u);
  EXPECT_EQ(outages[0].error, EIO);
  EXPECT_EQ(outages[0].events, last_seq());
  EXPECT_LE(outages[0].since_us, outages[0].until_us);
  EXPECT_TRUE(thread_->take_outages().empty());
}

TEST_F(JournalThreadTest, EndsWhileTheDiskFails) {
  error_ = EROFS;
  begin();
  append(20);
  ASSERT_TRUE(wait_degraded());
  EXPECT_TRUE(thread_->stop(std::chrono::minutes(1)));
  EXPECT_GT(front_.used(), 0u) << "the next memfaild finds them there";
}

TEST_F(JournalThreadTest, ShowsADiskThatHangsAndDoesNotHoldTheProcess) {
  gate_.close();
  begin();
  append(20);
  while (thread_->health().busy_since_ns == 0) std::this_thread::yield();
  EXPECT_EQ(thread_->health().degraded_since_us, 0u) << "a hang gives no error";
  EXPECT_FALSE(thread_->stop(std::chrono::milliseconds(1)));
  gate_.open();
  EXPECT_TRUE(thread_->stop(std::chrono::minutes(1)));
  EXPECT_EQ(thread_->health().busy_since_ns, 0u);
}

TEST_F(JournalThreadTest, AnswersForPastEvents) {
  begin();
  append(60);
  ASSERT_TRUE(wait_durable());
  ASSERT_TRUE(thread_->ask(7, 3, {5, 100'000}));
  std::vector<PastAnswer> answers;
  ASSERT_TRUE(wait_until([&] { return !(answers = thread_->take_answers()).empty(); }));
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].id, 7u);
  ASSERT_TRUE(answers[0].past);
  ASSERT_EQ(answers[0].past->events.size(), 5u);
  EXPECT_EQ(answers[0].past->events[0].seq, 3u);
  EXPECT_EQ(answers[0].past->next, 8u);
}

TEST_F(JournalThreadTest, TakesOnlySoManyQuestions) {
  for (std::size_t i = 0; i < JournalThread::kMaxQuestions; ++i) {
    ASSERT_TRUE(thread_->ask(i, 1, {}));
  }
  EXPECT_FALSE(thread_->ask(999, 1, {}));
  begin();
  std::size_t answered = 0;
  ASSERT_TRUE(wait_until([&] {
    answered += thread_->take_answers().size();
    return answered == JournalThread::kMaxQuestions;
  }));
  EXPECT_TRUE(thread_->ask(999, 1, {}));
}

TEST_F(JournalThreadTest, KeepsUpWithALoopThatFillsTheFrontManyTimes) {
  begin();
  make(2000);
  for (const OwnedRecord& record : records_) {
    while (!front_.append(record.view())) {
      thread_->ring();
      std::this_thread::yield();
    }
    thread_->ring();
  }
  ASSERT_TRUE(wait_durable());
  EXPECT_GT(front_.head(), 4 * front_.capacity());
  ASSERT_TRUE(thread_->stop(std::chrono::minutes(1)));
  EXPECT_EQ(picture(recover(*io_, kGeometry, "/j")->state), picture(state_));
}

}  // namespace
}  // namespace memfail::journal
