// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(journal): write
// syscall(loop): futex=join
#include "sidecar/journal/journal_thread.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace memfail::journal {
namespace {

constexpr std::size_t kMaxBatch = 1024;  // records of one group
constexpr std::chrono::milliseconds kFirstDelay{100};
constexpr std::chrono::milliseconds kLastDelay{5000};

std::uint64_t now_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t realtime_us() { return now_ns(CLOCK_REALTIME) / 1000; }

// Says for as long as it lives that a file is being waited for.
class Busy {
 public:
  explicit Busy(std::atomic<std::uint64_t>& since) : since_(since) {
    since_.store(now_ns(CLOCK_MONOTONIC), std::memory_order_relaxed);
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() { since_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t>& since_;
};

}  // namespace

JournalThread::JournalThread(Front& front, JournalFiles files, int wake)
    : front_(front),
      files_(std::move(files)),
      wake_(wake),
      durable_seq_(files_.durable_seq()),
      first_seq_(files_.first_seq()) {}

JournalThread::~JournalThread() {
  if (!thread_.joinable()) return;
  stop_.store(true, std::memory_order_release);
  bell_.ring();
  thread_.join();
}

void JournalThread::start(std::function<void()> first) {
  // The loop thread takes the process's signals.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // A broken page of ours is told to the thread that meets it.
  sigdelset(&all, SIGBUS);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this, run_first = std::move(first)] {
    if (run_first) run_first();
    run();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

bool JournalThread::stop(std::chrono::milliseconds limit) {
  if (!thread_.joinable()) return true;
  stop_.store(true, std::memory_order_release);
  bell_.ring();
  const auto ended = [this] { return ended_.load(std::memory_order_acquire); };
  ended_bell_.wait(ended, Clock::now() + limit);
  if (!ended()) return false;
  thread_.join();
  return true;
}

void JournalThread::run() {
  bool stopping = false;
  while (!stopping) {
    // Before the copy: what was appended before stop() was called goes along.
    stopping = stop_.load(std::memory_order_acquire);
    if (stopping || !retry_at_ || Clock::now() >= *retry_at_) copy();
    answer();
    if (!stopping) bell_.wait([this] { return has_work(); }, retry_at_);
  }
  ended_.store(true, std::memory_order_release);
  ended_bell_.ring();
}

bool JournalThread::has_work() const {
  if (stop_.load(std::memory_order_acquire)) return true;
  if (questions_count_.load(std::memory_order_acquire) != 0) return true;
  return !retry_at_ && front_.head() != front_.tail();
}

void JournalThread::copy() {
  while (copy_some()) {
  }
}

// False: there is nothing left, or it did not go well.
bool JournalThread::copy_some() {
  std::vector<Record> records;
  std::vector<std::uint64_t> behind;
  FrontItem item = front_.read(front_.tail());
  while (item.state == FrontRead::kRecord && records.size() < kMaxBatch) {
    records.push_back(item.record);
    behind.push_back(item.next);
    item = front_.read(item.next);
  }
  if (records.empty() && item.state == FrontRead::kDamaged) {
    failed(EBADMSG);
    return false;
  }
  if (records.empty() && confirmed_) return false;
  const std::uint64_t at_risk = retry_at_ ? events_in_front() : 0;
  Appended appended;
  {
    const Busy busy(busy_since_ns_);
    appended = files_.append(records);
  }
  confirmed_ = confirmed_ || appended.error == 0;
  // Only now: what is released is overwritten.
  if (appended.records != 0) front_.release(behind[appended.records - 1]);
  if (appended.error != 0) failed(appended.error);
  if (appended.error == 0 && retry_at_) recovered(at_risk);
  publish();
  return appended.error == 0 && !records.empty();
}

void JournalThread::failed(int error) {
  if (!retry_at_) {
    // The next file is tried at once: it may be one bad place.
    since_us_ = realtime_us();
    first_error_ = error;
    delay_ = Clock::duration::zero();
  } else {
    delay_ = std::clamp<Clock::duration>(delay_ * 2, kFirstDelay, kLastDelay);
  }
  retry_at_ = Clock::now() + delay_;
  error_.store(error, std::memory_order_relaxed);
  if (degraded_since_us_.exchange(since_us_, std::memory_order_release) == 0) wake();
}

void JournalThread::recovered(std::uint64_t events) {
  retry_at_.reset();
  degraded_since_us_.store(0, std::memory_order_release);
  error_.store(0, std::memory_order_relaxed);
  {
    const shm::Locked lock(mutex_);
    outages_.push_back({since_us_, realtime_us(), first_error_, events});
  }
  wake();
}

std::uint64_t JournalThread::events_in_front() const {
  std::uint64_t events = 0;
  FrontItem item = front_.read(front_.tail());
  for (; item.state == FrontRead::kRecord; item = front_.read(item.next)) {
    if (item.record.type == RecordType::kEvent) ++events;
  }
  return events;
}

void JournalThread::publish() {
  const std::uint64_t durable = files_.durable_seq();
  const std::uint64_t first = files_.first_seq();
  const bool news = durable != durable_seq_.load(std::memory_order_relaxed) ||
                    first != first_seq_.load(std::memory_order_relaxed);
  first_seq_.store(first, std::memory_order_relaxed);
  durable_seq_.store(durable, std::memory_order_release);
  if (news) wake();
}

void JournalThread::wake() const {
  const std::uint64_t one = 1;
  // A counter that is full wakes the loop as well.
  if (wake_ >= 0) (void)!::write(wake_, &one, sizeof one);
}

JournalHealth JournalThread::health() const {
  JournalHealth health;
  health.durable_seq = durable_seq_.load(std::memory_order_acquire);
  health.first_seq = first_seq_.load(std::memory_order_relaxed);
  health.degraded_since_us = degraded_since_us_.load(std::memory_order_acquire);
  health.error = health.degraded_since_us == 0 ? 0 : error_.load(std::memory_order_relaxed);
  health.busy_since_ns = busy_since_ns_.load(std::memory_order_relaxed);
  return health;
}

std::vector<Outage> JournalThread::take_outages() {
  const shm::Locked lock(mutex_);
  return std::exchange(outages_, {});
}

bool JournalThread::ask(std::uint64_t id, std::uint64_t seq, const PastLimit& limit) {
  {
    const shm::Locked lock(mutex_);
    // Answers nobody has taken count: the memory they hold is bounded by them.
    if (questions_.size() + answers_.size() >= kMaxQuestions) return false;
    questions_.push_back({id, seq, limit});
    questions_count_.store(questions_.size(), std::memory_order_release);
  }
  bell_.ring();
  return true;
}

std::vector<PastAnswer> JournalThread::take_answers() {
  const shm::Locked lock(mutex_);
  return std::exchange(answers_, {});
}

void JournalThread::answer() {
  // One turn's worth: records that came meanwhile are not kept waiting.
  for (std::size_t i = 0; i < 4 && answer_one(); ++i) {
  }
}

bool JournalThread::answer_one() {
  Question question;
  {
    const shm::Locked lock(mutex_);
    if (questions_.empty()) return false;
    question = questions_.front();
    questions_.pop_front();
    questions_count_.store(questions_.size(), std::memory_order_release);
  }
  PastAnswer answer{question.id, {}};
  {
    const Busy busy(busy_since_ns_);
    answer.past = history_.read(files_, question.seq, question.limit);
  }
  {
    const shm::Locked lock(mutex_);
    answers_.push_back(std::move(answer));
  }
  wake();
  return true;
}

}  // namespace memfail::journal
