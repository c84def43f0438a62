// SPDX-License-Identifier: BSD-3-Clause
//
// A real memfaild in a directory of its own, for as long as this lives.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "shm/unique_fd.h"
#include "tests/sanitized.h"  // IWYU pragma: export

namespace memfail::test {

struct Ended {
  int status = -1;  // as of waitpid
  std::string error_output;
};

// Runs memfaild to its end. `host`: a profile of memfail-narrow-host, see there.
Ended run_memfaild(const std::vector<std::string>& arguments, const std::string& host = {});

// Whether a connection there is refused. The file stays behind where memfaild cannot reach
// it any more.
bool nobody_listens(const std::string& path);

class Daemon {
 public:
  explicit Daemon(const std::vector<std::string>& more = {}, const std::string& host = {});
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  std::string vms() const { return directory_ + "/vm.sock"; }
  std::string events() const { return directory_ + "/events.sock"; }
  std::string ctl() const { return directory_ + "/ctl.sock"; }
  const std::string& directory() const { return directory_; }
  pid_t pid() const { return pid_; }
  std::string log() const;
  bool log_has(const std::string& text) const;  // waits for it, up to 5 s
  void signal(int number) const;
  int wait();  // its status

 private:
  std::string directory_;
  pid_t pid_ = -1;
  shm::UniqueFd inner_;  // with `strict` the process that serves is a child of that
};

}  // namespace memfail::test
