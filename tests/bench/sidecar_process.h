// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <sys/types.h>

#include <string>

#include "tests/bench/child.h"

namespace memfail::bench {

// The real memfaild, in a folder of its own that goes with this object.
class SidecarProcess {
 public:
  // Starts `program` and waits until it listens.
  explicit SidecarProcess(const std::string& program);
  ~SidecarProcess();
  SidecarProcess(const SidecarProcess&) = delete;
  SidecarProcess& operator=(const SidecarProcess&) = delete;

  [[nodiscard]] pid_t pid() const { return child_.pid(); }
  [[nodiscard]] std::string socket_path() const { return folder_ + "/vm.sock"; }
  // What it last said, for our own last words.
  [[nodiscard]] std::string last_line() const;
  // How often it has gone to sleep by itself so far (all of it in its main thread).
  [[nodiscard]] std::uint64_t sleeps() const;

 private:
  void wait_until_listening() const;

  std::string folder_;
  Child child_;
};

}  // namespace memfail::bench
