// SPDX-License-Identifier: BSD-3-Clause
//
// The second thread: copies the front into the journal's files, syncs, frees the
// front, and reads past events for those who ask. It exists because a call on a
// file may take for ever (a frozen file system, a dead server), and the loop
// thread must not be in such a call with all VMs behind it.
//
// What is in the front when a sync returns goes into the next one together: the
// slower the disk, the larger the groups.
//
// After an error it tries again, at once and then after 0.1 s, doubling to 5 s:
// the one timer of this process that nobody asked for, and only while degraded.
// Records stay in the front meanwhile; how many fit is the front's size.
//
// System calls of this thread once it runs: pwrite, pread, fdatasync,
// fstatfs on the journal's files; futex; write on the loop's eventfd; clock_gettime; what malloc
// needs.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "shm/mutex.h"
#include "sidecar/journal/doorbell.h"
#include "sidecar/journal/front.h"
#include "sidecar/journal/history.h"
#include "sidecar/journal/journal_files.h"
#include "sidecar/journal/journal_health.h"

namespace memfail::journal {

struct PastAnswer {
  std::uint64_t id = 0;             // of the question
  std::expected<Past, int> past;
};

class JournalThread {
 public:
  static constexpr std::size_t kMaxQuestions = 64;

  // `front` must outlive this; from start() on its taking side is the thread's.
  // `wake` is an eventfd, or -1, and belongs to the caller: it is written when any
  // of health(), take_outages() or take_answers() has news.
  JournalThread(Front& front, JournalFiles files, int wake);
  JournalThread(const JournalThread&) = delete;
  JournalThread& operator=(const JournalThread&) = delete;
  ~JournalThread();  // waits for the thread, if it was not stopped

  // `first` runs in the thread before all else: its system-call filter. All signals
  // are blocked there.
  void start(std::function<void()> first);

  // ---- the loop thread; none of these waits ----
  void ring() { bell_.ring(); }  // records were appended to the front
  [[nodiscard]] JournalHealth health() const;
  std::vector<Outage> take_outages();
  // False: so many questions wait already.
  bool ask(std::uint64_t id, std::uint64_t seq, const PastLimit& limit);
  std::vector<PastAnswer> take_answers();

  // Has what is in the front written, once, and the thread ended. False: at the
  // limit it still waits for the disk. Then only _exit() is left: neither this
  // object nor the front may be destroyed under it.
  bool stop(std::chrono::milliseconds limit);

 private:
  using Clock = std::chrono::steady_clock;
  struct Question {
    std::uint64_t id = 0;
    std::uint64_t seq = 0;
    PastLimit limit;
  };

  void run();
  void copy();
  bool copy_some();
  void answer();
  bool answer_one();
  [[nodiscard]] bool has_work() const;
  void failed(int error);
  void recovered(std::uint64_t events);
  [[nodiscard]] std::uint64_t events_in_front() const;
  void publish();
  void wake() const;

  Front& front_;
  JournalFiles files_;
  History history_;
  const int wake_;
  std::thread thread_;
  Doorbell bell_;
  Doorbell ended_bell_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> ended_{false};

  // The thread's own.
  std::optional<Clock::time_point> retry_at_;  // while degraded
  Clock::duration delay_{};
  bool confirmed_ = false;
  std::uint64_t since_us_ = 0;
  int first_error_ = 0;

  std::atomic<std::uint64_t> durable_seq_;
  std::atomic<std::uint64_t> first_seq_;
  std::atomic<std::uint64_t> degraded_since_us_{0};
  std::atomic<int> error_{0};
  std::atomic<std::uint64_t> busy_since_ns_{0};
  std::atomic<std::size_t> questions_count_{0};

  shm::Mutex mutex_;  // never held across a call on a file
  std::deque<Question> questions_ MEMFAIL_GUARDED_BY(mutex_);
  std::vector<PastAnswer> answers_ MEMFAIL_GUARDED_BY(mutex_);
  std::vector<Outage> outages_ MEMFAIL_GUARDED_BY(mutex_);
};

}  // namespace memfail::journal
