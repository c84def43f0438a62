// SPDX-License-Identifier: BSD-3-Clause
//
// memfailctl as a process, its output as it comes.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "shm/unique_fd.h"

namespace memfail::test {

class CtlProcess {
 public:
  enum class Output : std::uint8_t {
    kPipe,      // read when the test reads it: it can be held up
    kTerminal,  // of 100 columns
  };

  explicit CtlProcess(std::vector<std::string> arguments, Output output = Output::kPipe);
  ~CtlProcess();
  CtlProcess(const CtlProcess&) = delete;
  CtlProcess& operator=(const CtlProcess&) = delete;

  std::string line();                           // of stdout, without '\n', up to 10 s
  std::string rest();                           // of stdout, to its end
  bool says(const std::string& words) const;    // on stderr, up to 5 s
  std::string errors() const;
  int status();  // exit status, once it has ended; 128 + the signal that ended it
  void signal(int number) const;

 private:
  bool more();

  std::string directory_;  // of its stderr
  pid_t pid_ = -1;
  shm::UniqueFd out_;
  std::string buffer_;
};

}  // namespace memfail::test
