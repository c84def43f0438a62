// SPDX-License-Identifier: BSD-3-Clause
#include "ctl_process.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "peer.h"

namespace memfail::test {
namespace {

constexpr int kPatienceMs = 10'000;

struct Ends {
  shm::UniqueFd ours, its;
};

Ends make_output(CtlProcess::Output output) {
  std::array<int, 2> fds{-1, -1};
  winsize size{};
  size.ws_row = 24;
  size.ws_col = 100;
  if (output == CtlProcess::Output::kTerminal) {
    (void)::openpty(&fds[0], &fds[1], nullptr, nullptr, &size);
    (void)::fcntl(fds[0], F_SETFD, FD_CLOEXEC);
  } else {
    (void)!::pipe2(fds.data(), O_CLOEXEC);
  }
  return {shm::UniqueFd(fds[0]), shm::UniqueFd(fds[1])};
}

}  // namespace

CtlProcess::CtlProcess(std::vector<std::string> arguments, Output output) {
  directory_ = std::filesystem::temp_directory_path() / "memfailctl-test-XXXXXX";
  (void)!::mkdtemp(directory_.data());
  arguments.insert(arguments.begin(), MEMFAILCTL_PATH);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  Ends ends = make_output(output);
  const std::string errors = directory_ + "/stderr";
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(ends.its.get(), STDOUT_FILENO);
    ::dup2(::open(errors.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600), STDERR_FILENO);
    ::execv(MEMFAILCTL_PATH, argv.data());
    ::_exit(127);
  }
  out_ = std::move(ends.ours);
}

CtlProcess::~CtlProcess() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  std::filesystem::remove_all(directory_);
}

// A terminal whose other side is closed gives EIO.
bool CtlProcess::more() {
  pollfd one{.fd = out_.get(), .events = POLLIN, .revents = 0};
  std::array<char, 65536> bytes{};
  if (::poll(&one, 1, kPatienceMs) != 1) return false;
  const ssize_t got = ::read(out_.get(), bytes.data(), bytes.size());
  if (got > 0) buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  return got > 0;
}

std::string CtlProcess::line() {
  std::size_t newline = buffer_.find('\n');
  while (newline == std::string::npos && more()) newline = buffer_.find('\n');
  if (newline == std::string::npos) return "";
  std::string one = buffer_.substr(0, newline);
  buffer_.erase(0, newline + 1);
  return one;
}

std::string CtlProcess::rest() {
  while (more()) {
  }
  return std::exchange(buffer_, {});
}

std::string CtlProcess::errors() const {
  std::ifstream in(directory_ + "/stderr");
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

bool CtlProcess::says(const std::string& words) const {
  return eventually([&] { return errors().find(words) != std::string::npos; });
}

int CtlProcess::status() {
  int status = -1;
  ::waitpid(std::exchange(pid_, -1), &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void CtlProcess::signal(int number) const { ::kill(pid_, number); }

}  // namespace memfail::test
