// SPDX-License-Identifier: BSD-3-Clause
#include "tests/kill/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

namespace memfail::kill {
namespace {

[[noreturn]] void become(const std::vector<char*>& argv, const char* log,
                         const std::vector<ChildProcess::Descriptor>& descriptors) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  ::setrlimit(RLIMIT_CORE, &none);
  const int fd = ::open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ::dup2(fd, STDOUT_FILENO);
  ::dup2(fd, STDERR_FILENO);
  for (const auto& one : descriptors) {
    if (::dup2(one.ours, one.theirs) < 0) ::_exit(126);
    if (one.ours == one.theirs) ::fcntl(one.theirs, F_SETFD, 0);
  }
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& command, const std::string& log,
                           const std::vector<Descriptor>& descriptors) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) become(argv, log.c_str(), descriptors);
}

ChildProcess::~ChildProcess() { kill(); }

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    kill();
    pid_ = std::exchange(other.pid_, -1);
    status_ = other.status_;
  }
  return *this;
}

bool ChildProcess::alive() {
  if (pid_ < 0) return false;
  if (::waitpid(pid_, &status_, WNOHANG) == 0) return true;
  pid_ = -1;
  return false;
}

bool ChildProcess::died_of(int signal) const {
  if (WIFEXITED(status_)) return WEXITSTATUS(status_) == 128 + signal;
  return WIFSIGNALED(status_) && WTERMSIG(status_) == signal;
}

void ChildProcess::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

void ChildProcess::stop() {
  signal(SIGSTOP);
  int status = 0;
  if (pid_ < 0 || ::waitpid(pid_, &status, WUNTRACED) != pid_ || WIFSTOPPED(status)) return;
  status_ = status;  // it died first
  pid_ = -1;
}

void ChildProcess::resume() const { signal(SIGCONT); }

void ChildProcess::kill() {
  if (pid_ < 0) return;
  signal(SIGKILL);
  ::waitpid(pid_, &status_, 0);
  pid_ = -1;
}

}  // namespace memfail::kill
