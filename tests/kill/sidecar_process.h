// SPDX-License-Identifier: BSD-3-Clause
//
// memfaild, as it is installed, started again and again at the same sockets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shm/unique_fd.h"
#include "tests/kill/child_process.h"
#include "tests/kill/probe_table.h"

namespace memfail::kill {

class SidecarProcess {
 public:
  // Its sockets, its log and whatever it keeps are in `directory`.
  explicit SidecarProcess(std::string directory);

  // From the next start on. Made there where it does not exist.
  void keep_journal(std::uint32_t files, std::uint64_t file_size) {
    keep_journal_in(directory_ + "/journal", files, file_size);
  }
  void keep_journal_in(const std::string& path, std::uint32_t files, std::uint64_t file_size);
  [[nodiscard]] const std::string& journal() const { return journal_; }
  [[nodiscard]] std::string front() const { return directory_ + "/front"; }

  // Returns when it serves; false: it did not come to that.
  bool start();
  void kill() { child_.kill(); }
  bool alive() { return child_.alive(); }
  [[nodiscard]] ChildProcess& child() { return child_; }
  // In a PID namespace of its own (--sandbox strict) the child is the one that waits.
  [[nodiscard]] pid_t serving_pid() const;

  [[nodiscard]] std::string vms() const { return directory_ + "/vm.sock"; }
  [[nodiscard]] std::string events() const { return directory_ + "/events.sock"; }
  // What the one that runs, or ran last, has written.
  [[nodiscard]] std::string log() const;

  static const ProbeTable& probes();

 private:
  [[nodiscard]] std::vector<std::string> command() const;
  [[nodiscard]] std::string log_path() const;
  bool await_ready();
  // In --sandbox strict the process that serves ends a moment after its parent.
  void await_end();

  std::string directory_;
  std::string journal_;  // empty: none
  std::vector<std::string> journal_options_;
  shm::UniqueFd notified_;
  shm::UniqueFd serving_;  // a pidfd
  std::uint32_t starts_ = 0;
  ChildProcess child_;
};

}  // namespace memfail::kill
