// SPDX-License-Identifier: BSD-3-Clause
//
// Threads that die, and when they are really gone: pthread_join() returns a moment
// before the kernel forgets the tid.
#pragma once

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>

namespace memfail::shm::testing {

inline double seconds_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

inline bool wait_until_gone(pid_t tid, double seconds = 20) {
  const double until = seconds_now() + seconds;
  while (::syscall(SYS_tgkill, ::getpid(), tid, 0) == 0) {
    if (seconds_now() > until) return false;
    ::sched_yield();
  }
  return true;
}

// Runs `body` in a thread of its own, which may end in any way; returns when the
// kernel knows nothing of it any more.
inline void run_and_bury(const std::function<void()>& body) {
  struct Job {
    const std::function<void()>& body;
    std::atomic<pid_t> tid{0};
  } job{body};
  pthread_t thread{};
  const auto run = [](void* argument) -> void* {
    auto* own = static_cast<Job*>(argument);
    own->tid = static_cast<pid_t>(::syscall(SYS_gettid));
    own->body();
    return nullptr;
  };
  ASSERT_EQ(::pthread_create(&thread, nullptr, run, &job), 0);
  ASSERT_EQ(::pthread_join(thread, nullptr), 0);
  ASSERT_TRUE(wait_until_gone(job.tid)) << "thread " << job.tid;
}

}  // namespace memfail::shm::testing
