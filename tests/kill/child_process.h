// SPDX-License-Identifier: BSD-3-Clause
//
// A program that runs beside the test, and dies with it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace memfail::kill {

class ChildProcess {
 public:
  // Descriptors of ours that the child has too, under the given numbers.
  struct Descriptor {
    int ours;
    int theirs;
  };

  ChildProcess() = default;
  // stdout and stderr are appended to the file `log`. No core file, whatever happens.
  ChildProcess(const std::vector<std::string>& command, const std::string& log,
               const std::vector<Descriptor>& descriptors = {});
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Whether it runs (or is stopped); the first false has reaped it.
  bool alive();
  // As of waitpid(), once it is not alive.
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] bool died_of(int signal) const;

  void signal(int number) const;
  // Returns when every thread of it has stopped.
  void stop();
  void resume() const;
  // SIGKILL, and waits until it is gone.
  void kill();

 private:
  pid_t pid_ = -1;
  int status_ = -1;
};

}  // namespace memfail::kill
