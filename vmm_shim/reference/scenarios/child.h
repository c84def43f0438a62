// SPDX-License-Identifier: BSD-3-Clause
//
// A program this one has started. It dies with us, whatever kills us.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "vmm_shim/reference/unique_fd.h"

namespace memfail::scenarios {

using Clock = std::chrono::steady_clock;

struct ChildStart {
  std::vector<std::string> command;
  std::string log;                       // standard error is appended here
  std::vector<std::string> environment;  // "NAME=value", besides our own
};

class Child {
 public:
  // Dies when there are no resources for it; a program that is not there is seen
  // as exit status 127.
  explicit Child(const ChildStart& start);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();  // kills it if it still runs

  int input() const { return input_.get(); }    // its standard input
  int output() const { return output_.get(); }  // its standard output
  int end() const { return pidfd_.get(); }        // readable when it has ended
  void signal(int number) const;
  void signal_family(int number) const;  // it, and its children
  pid_t pid() const { return pid_; }
  // The exit status (128 + number after a signal); nothing if it still runs then.
  std::optional<int> wait_until(Clock::time_point limit);

 private:
  [[noreturn]] static void run(const ChildStart& start, int input, int output);

  pid_t pid_ = -1;
  reference::UniqueFd pidfd_;
  reference::UniqueFd input_, output_;
  std::optional<int> status_;
};

}  // namespace memfail::scenarios
