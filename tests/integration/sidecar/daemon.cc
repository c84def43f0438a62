// SPDX-License-Identifier: BSD-3-Clause
#include "daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

namespace memfail::test {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string make_directory() {
  std::string path = std::filesystem::temp_directory_path() / "memfaild-test-XXXXXX";
  return ::mkdtemp(path.data()) == nullptr ? "" : path;
}

std::string from_environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// A whole suite may be run on a host that allows less, or in another grade: see
// CMakeLists.txt.
std::vector<std::string> command(const std::vector<std::string>& arguments, std::string host) {
  std::vector<std::string> words;
  if (host.empty()) host = from_environment("MEMFAIL_TEST_HOST");
  if (!host.empty()) words = {NARROW_HOST_PATH, host};
  words.emplace_back(MEMFAILD_PATH);
  words.insert(words.end(), arguments.begin(), arguments.end());
  const std::string grade = from_environment("MEMFAIL_TEST_SANDBOX");
  if (!grade.empty() && std::ranges::find(arguments, "--sandbox") == arguments.end()) {
    words.insert(words.end(), {"--sandbox", grade});
  }
  return words;
}

pid_t start(std::vector<std::string> words, const std::string& log) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(fd, STDERR_FILENO);
  ::dup2(fd, STDOUT_FILENO);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

constexpr int kPatienceMs = 5000;

shm::UniqueFd child_of(pid_t pid) {
  const std::string number = std::to_string(pid);
  const std::string child = read_file("/proc/" + number + "/task/" + number + "/children");
  if (child.empty()) return {};
  return shm::UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, std::stoi(child), 0)));
}

template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace

Ended run_memfaild(const std::vector<std::string>& arguments, const std::string& host) {
  const std::string directory = make_directory();
  const std::string log = directory + "/log";
  Ended ended;
  ::waitpid(start(command(arguments, host), log), &ended.status, 0);
  ended.error_output = read_file(log);
  std::filesystem::remove_all(directory);
  return ended;
}

bool nobody_listens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  for (const int type : {SOCK_SEQPACKET, SOCK_STREAM}) {
    const int fd = ::socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int error = result == 0 ? 0 : errno;
    ::close(fd);
    if (error == ECONNREFUSED || error == ENOENT) return true;
    if (error != EPROTOTYPE) return false;
  }
  return false;
}

Daemon::Daemon(const std::vector<std::string>& more, const std::string& host)
    : directory_(make_directory()) {
  std::vector<std::string> arguments{"--socket-path", vms(), "--events", events(), "--ctl", ctl()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  pid_ = start(command(arguments, host), directory_ + "/log");
  log_has("listening on");
  inner_ = child_of(pid_);
}

Daemon::~Daemon() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    wait();
  }
  std::filesystem::remove_all(directory_);
}

std::string Daemon::log() const { return read_file(directory_ + "/log"); }

bool Daemon::log_has(const std::string& text) const {
  return eventually([&] { return log().find(text) != std::string::npos; });
}

void Daemon::signal(int number) const { ::kill(pid_, number); }

int Daemon::wait() {
  int status = -1;
  ::waitpid(std::exchange(pid_, -1), &status, 0);
  // It dies with its parent, but not before it.
  pollfd gone{inner_.get(), POLLIN, 0};
  if (inner_.valid()) ::poll(&gone, 1, kPatienceMs);
  return status;
}

}  // namespace memfail::test
