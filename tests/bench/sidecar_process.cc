// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/sidecar_process.h"

#include <time.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "shm/reply_wait.h"
#include "tests/bench/failure.h"

namespace memfail::bench {
namespace {

constexpr std::uint64_t kStartLimitNs = 10'000'000'000;
constexpr timespec kLook{0, 5'000'000};

std::string make_folder() {
  std::string folder = std::filesystem::temp_directory_path() / "memfail-bench-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) fail("no folder like " + folder + " can be made");
  return folder;
}

}  // namespace

SidecarProcess::SidecarProcess(const std::string& program) : folder_(make_folder()) {
  if (::access(program.c_str(), X_OK) != 0) {
    std::filesystem::remove(folder_);
    fail("no sidecar at " + program + " (build it, or name another with --memfaild)");
  }
  // One page, met again and again: only QEMU's policy goes on telling the guest.
  child_ =
      run_program({program, "--policy", "qemu", "--socket-path", socket_path()}, folder_ + "/log");
  wait_until_listening();
}

SidecarProcess::~SidecarProcess() {
  {
    const Child ended = std::move(child_);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void SidecarProcess::wait_until_listening() const {
  const std::uint64_t until = shm::monotonic_ns() + kStartLimitNs;
  // The socket's file is there before it listens: the log says which of the two it is.
  while (!last_line().contains("listening on")) {
    if (child_.has_ended()) fail("the sidecar ended at once: " + last_line());
    if (shm::monotonic_ns() > until) fail("the sidecar does not listen: " + last_line());
    ::nanosleep(&kLook, nullptr);
  }
}

std::string SidecarProcess::last_line() const {
  std::ifstream log(folder_ + "/log");
  std::string last;
  for (std::string line; std::getline(log, line);) {
    if (!line.empty()) last = line;
  }
  return last.empty() ? "(it said nothing)" : last;
}

std::uint64_t SidecarProcess::sleeps() const {
  std::ifstream status("/proc/" + std::to_string(pid()) + "/status");
  const std::string name = "voluntary_ctxt_switches:";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) return std::stoull(line.substr(name.size()));
  }
  return 0;
}

}  // namespace memfail::bench
