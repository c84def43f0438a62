// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>

#include "vmm_shim/reference/scenarios/fail.h"
#include "vmm_shim/reference/scenarios/wait.h"

namespace memfail::scenarios {
namespace {

struct Pipe {
  reference::UniqueFd read, write;
};

Pipe make_pipe() {
  std::array<int, 2> fds{};
  if (pipe2(fds.data(), O_CLOEXEC) < 0) fail("pipe");
  return {reference::UniqueFd(fds[0]), reference::UniqueFd(fds[1])};
}

int decode(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

Child::Child(const ChildStart& start) {
  Pipe to_child = make_pipe();
  Pipe from_child = make_pipe();
  pid_ = fork();
  if (pid_ < 0) fail("fork");
  if (pid_ == 0) run(start, to_child.read.get(), from_child.write.get());
  pidfd_ = reference::UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  if (pidfd_.get() < 0) fail("pidfd_open");
  input_ = std::move(to_child.write);
  output_ = std::move(from_child.read);
}

void Child::run(const ChildStart& start, int input, int output) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGPIPE, SIG_DFL);
  for (const std::string& setting : start.environment) putenv(const_cast<char*>(setting.c_str()));
  const int log = open(start.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  if (log >= 0) dup2(log, STDERR_FILENO);
  std::vector<char*> arguments;
  arguments.reserve(start.command.size() + 1);
  for (const std::string& word : start.command)
    arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  _exit(127);
}

Child::~Child() {
  if (status_) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Child::signal(int number) const {
  if (!status_) kill(pid_, number);
}

void Child::signal_family(int number) const {
  if (status_) return;
  const std::string pid = std::to_string(pid_);
  std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
  for (pid_t child = 0; children >> child;) kill(child, number);
  kill(pid_, number);
}

std::optional<int> Child::wait_until(Clock::time_point limit) {
  if (status_) return status_;
  if (!readable_before(pidfd_.get(), limit)) return std::nullopt;
  int status = 0;
  if (waitpid(pid_, &status, 0) < 0) fail("waitpid");
  status_ = decode(status);
  return status_;
}

}  // namespace memfail::scenarios
