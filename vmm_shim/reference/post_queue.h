// SPDX-License-Identifier: BSD-3-Clause
//
// Functions waiting to be run on a vCPU's thread, outside KVM_RUN. Posting never
// waits for the vCPU.
#pragma once

#include <pthread.h>

#include <functional>
#include <mutex>
#include <vector>

namespace memfail::reference {

class PostQueue {
 public:
  // On the vCPU's thread: from now on posts are accepted.
  void open();
  // False when the vCPU has no thread. Any thread.
  bool post(std::function<void()> function);
  // On the vCPU's thread.
  void run_all();
  // Runs what is left and accepts no more. On the vCPU's thread, at its end.
  void close();

 private:
  std::vector<std::function<void()>> take(bool last);

  std::mutex mutex_;
  bool open_ = false;
  pthread_t thread_{};
  std::vector<std::function<void()>> functions_;
};

}  // namespace memfail::reference
