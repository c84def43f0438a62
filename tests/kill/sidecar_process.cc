// SPDX-License-Identifier: BSD-3-Clause
#include "tests/kill/sidecar_process.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

namespace memfail::kill {
namespace {

constexpr int kPatienceMs = 20'000;

// Counts stay apart: no coalescing beyond a second, no storm, no broadcast, and a page
// may be met as often as the load does.
constexpr const char* kPolicy = R"({
  "version": 1,
  "default": {
    "broadcast": false, "repeat_limit": 1000, "repeat_seconds": 1,
    "storm_pages": 100000, "storm_seconds": 1
  }
})";

shm::UniqueFd bind_datagrams(const std::string& path) {
  shm::UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    std::perror(path.c_str());
    std::abort();
  }
  return fd;
}

}  // namespace

SidecarProcess::SidecarProcess(std::string directory)
    : directory_(std::move(directory)), notified_(bind_datagrams(directory_ + "/notify")) {
  std::ofstream(directory_ + "/policy.json") << kPolicy;
  ::setenv("NOTIFY_SOCKET", (directory_ + "/notify").c_str(), 1);
}

// The one place where memfaild's arguments are made.
std::vector<std::string> SidecarProcess::command() const {
  std::vector<std::string> words{MEMFAILD_PATH, "--socket-path", vms(),
                                 "--events",    events(),        "--front",
                                 front(),       "--policy",      directory_ + "/policy.json"};
  words.insert(words.end(), journal_options_.begin(), journal_options_.end());
  if (const char* grade = std::getenv("MEMFAIL_TEST_SANDBOX")) {
    words.insert(words.end(), {"--sandbox", grade});
  }
  return words;
}

void SidecarProcess::keep_journal_in(const std::string& path, std::uint32_t files,
                                     std::uint64_t file_size) {
  journal_ = path;
  journal_options_ = {"--journal",       path,
                      "--journal-files", std::to_string(files),
                      "--journal-size",  std::to_string(file_size),
                      "--front-size",    "32MiB"};
}

std::string SidecarProcess::log_path() const {
  return directory_ + "/sidecar." + std::to_string(starts_) + ".log";
}

std::string SidecarProcess::log() const {
  std::ifstream in(log_path());
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

bool SidecarProcess::start() {
  child_.kill();
  await_end();
  if (starts_ > 1) std::remove(log_path().c_str());  // the last one's is kept
  ++starts_;
  if (!journal_.empty()) ::mkdir(journal().c_str(), S_IRWXU);
  child_ = ChildProcess(command(), log_path());
  if (!await_ready()) return false;
  serving_.reset(static_cast<int>(::syscall(SYS_pidfd_open, serving_pid(), 0)));
  return true;
}

bool SidecarProcess::await_ready() {
  constexpr int kLookMs = 10;  // one that refuses to start says nothing here
  std::array<char, 256> said{};
  pollfd wait{notified_.get(), POLLIN, 0};
  for (int waited = 0; waited < kPatienceMs && child_.alive();) {
    if (::poll(&wait, 1, kLookMs) != 1) {
      waited += kLookMs;
      continue;
    }
    const ssize_t size = ::recv(notified_.get(), said.data(), said.size(), 0);
    if (size > 0 && std::string_view(said.data(), static_cast<std::size_t>(size)) == "READY=1") {
      return child_.alive();
    }
  }
  return false;
}

void SidecarProcess::await_end() {
  pollfd end{serving_.get(), POLLIN, 0};
  if (serving_.valid()) ::poll(&end, 1, kPatienceMs);
  serving_.reset();
}

pid_t SidecarProcess::serving_pid() const {
  const std::string pid = std::to_string(child_.pid());
  std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
  pid_t child = 0;
  return children >> child ? child : child_.pid();
}

const ProbeTable& SidecarProcess::probes() {
  static const auto table = ProbeTable::read(MEMFAILD_PATH);
  if (!table) std::fprintf(stderr, "%s\n", table.error().c_str());
  return table.value();
}

}  // namespace memfail::kill
