// SPDX-License-Identifier: BSD-3-Clause
//
// A real memfaild with a VM attached, looked at from outside: what is in force is in force
// for every thread of it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "daemon.h"
#include "peer.h"

namespace memfail::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

std::string read_all(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::map<std::string, std::string> status_of(const fs::path& task) {
  std::map<std::string, std::string> out;
  std::ifstream in(task / "status");
  std::string name;
  std::string value;
  while (in >> name && std::getline(in >> std::ws, value)) out[name] = value;
  return out;
}

fs::path proc(pid_t pid) { return fs::path("/proc") / std::to_string(pid); }

// Of a process that was forked into its PID namespace, that one.
pid_t innermost(pid_t pid) {
  const std::string child = read_all(proc(pid) / "task" / std::to_string(pid) / "children");
  return child.empty() ? pid : std::stoi(child);
}

class Sandboxed : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "SKIPPED: a build with a sanitizer has no full sandbox";
    directory_ = fs::path("/dev/shm") / ("memfaild-sandbox-" + std::to_string(::getpid()));
    fs::create_directories(directory_ / "journal");
    fs::permissions(directory_ / "journal", fs::perms::owner_all);
    daemon_.emplace(std::vector<std::string>{"--sandbox", GetParam(), "--front",
                                             directory_ / "front", "--journal",
                                             directory_ / "journal"});
    peer_.emplace(daemon_->vms());
    ASSERT_TRUE(peer_->attach()) << daemon_->log();
    pid_ = innermost(daemon_->pid());
  }
  void TearDown() override {
    peer_.reset();
    daemon_.reset();
    if (!directory_.empty()) fs::remove_all(directory_);
  }

  std::vector<fs::path> tasks() const {
    std::vector<fs::path> out;
    for (const auto& one : fs::directory_iterator(proc(pid_) / "task")) out.push_back(one.path());
    return out;
  }

  fs::path directory_;
  std::optional<Daemon> daemon_;
  std::optional<Peer> peer_;
  pid_t pid_ = -1;
};

TEST_P(Sandboxed, EveryThreadHasGivenEverythingUp) {
  EXPECT_EQ(tasks().size(), 3U) << "loop, journal, closer";
  for (const fs::path& task : tasks()) {
    const auto status = status_of(task);
    EXPECT_EQ(status.at("NoNewPrivs:"), "1") << task;
    EXPECT_EQ(status.at("Seccomp:"), "2") << task;
    for (const char* set : {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"}) {
      EXPECT_EQ(status.at(set), "0000000000000000") << task << " " << set;
    }
  }
}

TEST_P(Sandboxed, ItsNamespacesAreItsOwn) {
  std::vector<const char*> kinds{"user", "mnt", "net", "ipc", "uts", "cgroup"};
  if (std::string_view(GetParam()) == "strict") kinds.push_back("pid");
  for (const char* kind : kinds) {
    EXPECT_NE(fs::read_symlink(proc(pid_) / "ns" / kind),
              fs::read_symlink(fs::path("/proc/self/ns") / kind))
        << kind;
  }
}

TEST_P(Sandboxed, ItsRootIsEmptyAndReadOnly) {
  const fs::path root = proc(pid_) / "root";
  EXPECT_TRUE(fs::is_empty(root / "."));
  struct statvfs about{};
  ASSERT_EQ(::statvfs((root / ".").c_str(), &about), 0);
  EXPECT_NE(about.f_flag & ST_RDONLY, 0U);
}

TEST_P(Sandboxed, NothingIsOpenThatIsNotKnown) {
  for (const auto& one : fs::directory_iterator(proc(pid_) / "fd")) {
    const std::string what = fs::read_symlink(one.path());
    const bool known =
        what == "/dev/null" || what.starts_with("socket:[") || what.starts_with("pipe:[") ||
        what.starts_with("anon_inode:[eventfd]") || what.starts_with("anon_inode:[eventpoll]") ||
        what.starts_with("anon_inode:[pidfd]") || what.starts_with("pidfd:") ||
        what.starts_with("/memfd:memfail") || what.starts_with(directory_.string()) ||
        what.starts_with(daemon_->directory()) || what == "/front" || what.starts_with("/journal");
    EXPECT_TRUE(known) << one.path().filename() << " -> " << what;
    EXPECT_THAT(what, Not(HasSubstr("kvm")));
  }
}

// Its own memory, its libraries, the areas and the front: no guest memory.
TEST_P(Sandboxed, NoGuestMemoryIsMapped) {
  std::ifstream in(proc(pid_) / "maps");
  std::string line;
  int shared = 0;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string range;
    std::string rights;
    words >> range >> rights;
    if (rights.back() != 's') continue;
    ++shared;
    EXPECT_TRUE(line.find("memfd:memfail") != std::string::npos ||
                line.find("front") != std::string::npos)
        << line;
  }
  EXPECT_GE(shared, 3) << "two areas and the front";
}

TEST_P(Sandboxed, SaysWhatIsInForce) {
  EXPECT_TRUE(daemon_->log_has(std::string("sandbox ") + GetParam() + ": in force:"));
  EXPECT_THAT(daemon_->log(), Not(HasSubstr("MISSING")));
}

TEST_P(Sandboxed, EndsCleanlyBehindItsWall) {
  daemon_->signal(SIGTERM);
  EXPECT_EQ(daemon_->wait(), 0) << daemon_->log();
}

INSTANTIATE_TEST_SUITE_P(Grades, Sandboxed, ::testing::Values("auto", "strict"));

TEST(Sandbox, NoneWarns) {
  const Daemon daemon({"--sandbox", "none"});
  EXPECT_THAT(daemon.log(), HasSubstr("NO WALL"));
}

// It is for the field: what it records, it lets through.
TEST(Sandbox, AFilterThatOnlyRecordsIsNoWall) {
  if (kSanitized) GTEST_SKIP() << "SKIPPED: a build with a sanitizer has no full sandbox";
  const Daemon daemon({"--seccomp", "log"});
  EXPECT_TRUE(daemon.log_has("MISSING: seccomp (--seccomp log lets through what it records)"));
  const Ended strict = run_memfaild(
      {"--socket-path", "/tmp/memfaild-log.sock", "--sandbox", "strict", "--seccomp", "log"});
  EXPECT_THAT(strict.error_output, HasSubstr("'seccomp' cannot be had: --seccomp log"));
}

// The parent that waits for it is gone: so is it.
TEST(Sandbox, StrictDoesNotOutliveItsParent) {
  if (kSanitized) GTEST_SKIP() << "SKIPPED: a build with a sanitizer has no full sandbox";
  Daemon daemon({"--sandbox", "strict"});
  const pid_t child = innermost(daemon.pid());
  ASSERT_NE(child, daemon.pid());
  const int watch = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
  daemon.signal(SIGKILL);
  pollfd gone{watch, POLLIN, 0};
  EXPECT_EQ(::poll(&gone, 1, 5000), 1);
  ::close(watch);
}

}  // namespace
}  // namespace memfail::test
