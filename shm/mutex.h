// SPDX-License-Identifier: BSD-3-Clause
//
// pthread_mutex_t with a scope: libc only. What it guards is annotated, and clang's thread
// safety analysis (./dev lint) finds whoever forgets the lock.
#pragma once

#include <pthread.h>

#ifdef __clang__
#define MEMFAIL_THREAD_SAFETY(attribute) __attribute__((attribute))
#else
#define MEMFAIL_THREAD_SAFETY(attribute)
#endif

// Behind a member: only with `mutex` held; for a pointer, what it points to.
#define MEMFAIL_GUARDED_BY(mutex) MEMFAIL_THREAD_SAFETY(guarded_by(mutex))
#define MEMFAIL_POINTS_TO_GUARDED_BY(mutex) MEMFAIL_THREAD_SAFETY(pt_guarded_by(mutex))
// Behind a function: its caller holds it.
#define MEMFAIL_REQUIRES(mutex) MEMFAIL_THREAD_SAFETY(requires_capability(mutex))
// What a lock itself does is taken on trust: libc's calls say nothing of locks.
#define MEMFAIL_TRUSTED MEMFAIL_THREAD_SAFETY(no_thread_safety_analysis)

namespace memfail::shm {

class MEMFAIL_THREAD_SAFETY(capability("mutex")) Mutex {
 public:
  void lock() MEMFAIL_THREAD_SAFETY(acquire_capability()) MEMFAIL_TRUSTED {
    pthread_mutex_lock(&mutex_);
  }
  void unlock() MEMFAIL_THREAD_SAFETY(release_capability()) MEMFAIL_TRUSTED {
    pthread_mutex_unlock(&mutex_);
  }
  bool try_lock() MEMFAIL_THREAD_SAFETY(try_acquire_capability(true)) MEMFAIL_TRUSTED {
    return pthread_mutex_trylock(&mutex_) == 0;
  }

 private:
  friend class Condition;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

class MEMFAIL_THREAD_SAFETY(scoped_lockable) Locked {
 public:
  explicit Locked(Mutex& mutex) MEMFAIL_THREAD_SAFETY(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.lock();
  }
  ~Locked() MEMFAIL_THREAD_SAFETY(release_capability()) { mutex_.unlock(); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  Mutex& mutex_;
};

// pthread_cond_t. A wait may end for nothing: its caller looks again.
class Condition {
 public:
  void wait(Mutex& mutex) MEMFAIL_REQUIRES(mutex) MEMFAIL_TRUSTED {
    pthread_cond_wait(&condition_, &mutex.mutex_);
  }
  void notify_one() { pthread_cond_signal(&condition_); }

 private:
  pthread_cond_t condition_ = PTHREAD_COND_INITIALIZER;
};

}  // namespace memfail::shm
