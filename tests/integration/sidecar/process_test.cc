// SPDX-License-Identifier: BSD-3-Clause
//
// memfaild as a process: how it starts, refuses to start, and ends.
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "daemon.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "peer.h"

namespace memfail::test {
namespace {

using ::testing::HasSubstr;

bool failed(const Ended& ended) {
  return WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == 1 &&
         std::count(ended.error_output.begin(), ended.error_output.end(), '\n') == 1;
}

TEST(Process, SaysItsCapabilitiesAndExits) {
  const Ended ended = run_memfaild({"--print-capabilities"});
  EXPECT_EQ(ended.status, 0);
  EXPECT_THAT(ended.error_output, HasSubstr("\"type\": \"memory-failure\""));
}

TEST(Process, RefusesAPathThatIsTooLong) {
  const Ended ended = run_memfaild({"--socket-path", "/tmp/" + std::string(120, 'x')});
  EXPECT_TRUE(failed(ended));
  EXPECT_THAT(ended.error_output, HasSubstr("125 bytes long, the limit is 107"));
}

TEST(Process, RefusesAMissingDirectory) {
  const Ended ended = run_memfaild({"--socket-path", "/nonexistent/vm.sock"});
  EXPECT_TRUE(failed(ended));
  EXPECT_THAT(ended.error_output, HasSubstr("directory does not exist"));
}

TEST(Process, RefusesASocketInUse) {
  const Daemon first;
  const Ended second = run_memfaild({"--socket-path", first.vms()});
  EXPECT_TRUE(failed(second));
  EXPECT_THAT(second.error_output, HasSubstr("Address already in use"));
  EXPECT_TRUE(Peer(first.vms()).attach());  // the first one is unharmed
}

TEST(Process, RefusesAFileThatIsNoSocket) {
  const Daemon daemon;
  const std::string path = daemon.directory() + "/file";
  std::ofstream(path) << "precious";
  EXPECT_TRUE(failed(run_memfaild({"--socket-path", path})));
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(Process, RefusesADirectoryItMayNotWrite) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs to give a directory away";
  const Daemon daemon;
  ASSERT_EQ(::chown(daemon.directory().c_str(), 65534, 65534), 0);
  ::chmod(daemon.directory().c_str(), 0755);
  const pid_t child = ::fork();
  if (child == 0) {
    // Still root: another user need not reach the program, where root's home has the tree.
    if (::prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) != 0) ::_exit(99);
    const Ended ended = run_memfaild({"--socket-path", daemon.directory() + "/denied.sock"});
    const bool good =
        failed(ended) && ended.error_output.find("Permission denied") != std::string::npos;
    ::_exit(good ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(Process, ReplacesASocketWhoseListenerIsGone) {
  const Daemon lost;
  lost.signal(SIGKILL);
  ASSERT_TRUE(eventually([&] { return !Peer(lost.vms()).attach(); }));
  const Ended ended = run_memfaild({"--socket-path", lost.vms(), "--ctl", "/nonexistent/x"});
  EXPECT_THAT(ended.error_output, HasSubstr("--ctl"));  // it came past --socket-path
  EXPECT_FALSE(std::filesystem::exists(lost.vms()));
}

TEST(Process, RefusesRecordsThatItCannotKeep) {
  struct Case {
    std::vector<std::string> options;
    const char* says;
  };
  for (const Case& one : std::vector<Case>{
           {{"--journal", "/tmp"}, "needs a front on a tmpfs as well"},
           {{"--front", "/proc/self/exe"}, "symbolic link"},
           {{"--front", "/nonexistent/front"}, "No such file or directory"},
           {{"--front", "/dev/shm/never.front", "--front-size", "5000"}, "a multiple of 4096"},
           {{"--front", "/dev/shm/never.front", "--journal", "/nonexistent"}, "/nonexistent"},
           {{"--front", "/dev/shm/never.front", "--journal", "/proc"}, "/proc"}}) {
    std::vector<std::string> arguments{"--socket-path", "/tmp/never.sock"};
    arguments.insert(arguments.end(), one.options.begin(), one.options.end());
    const Ended ended = run_memfaild(arguments);
    EXPECT_TRUE(failed(ended)) << one.says;
    EXPECT_THAT(ended.error_output, HasSubstr(one.says));
  }
}

// A directory for a journal, wrong in one way or another. As root, who may make it so.
class BadJournal : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    ASSERT_NE(::mkdtemp(path_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  // What the one line of it says, besides the directory's name.
  void expect_refusal(const char* says) {
    const Ended ended = run_memfaild(
        {"--socket-path", path_ + ".sock", "--front", path_ + ".front", "--journal", path_});
    std::filesystem::remove(path_ + ".front");
    EXPECT_TRUE(failed(ended));
    EXPECT_THAT(ended.error_output, HasSubstr(path_));
    EXPECT_THAT(ended.error_output, HasSubstr(says));
  }

  std::string path_ = "/dev/shm/memfaild-test-XXXXXX";
};

TEST_F(BadJournal, ThatIsMissing) {
  std::filesystem::remove(path_);
  expect_refusal("does not exist");
}

TEST_F(BadJournal, ThatHoldsOtherFiles) {
  std::ofstream(path_ + "/letter") << "Dear";
  expect_refusal("holds 'letter'");
}

TEST_F(BadJournal, ThatBelongsToSomebodyElse) {
  ASSERT_EQ(::chown(path_.c_str(), 65534, 65534), 0);
  expect_refusal("belongs to uid 65534");
}

TEST_F(BadJournal, ThatOthersMayWrite) {
  ASSERT_EQ(::chmod(path_.c_str(), 0777), 0);
  expect_refusal("has mode 0777");
}

TEST_F(BadJournal, OnAFullDisk) {
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=128k,mode=0700") != 0) {
    GTEST_SKIP() << "may not mount a tmpfs here";
  }
  expect_refusal("more bytes and ");
  EXPECT_EQ(::umount(path_.c_str()), 0);
}

TEST(Process, RefusesAPolicyThatIsNotThere) {
  const Ended ended = run_memfaild({"--socket-path", "/tmp/never.sock", "--policy", "recomended"});
  EXPECT_TRUE(failed(ended));
  EXPECT_THAT(ended.error_output,
              HasSubstr("--policy: 'recomended': No such file or directory; built in are "
                        "'recommended' and 'qemu'"));
}

TEST(Process, RefusesAWrongPolicyWithThePlace) {
  const Daemon directory;
  const std::string path = directory.directory() + "/policy.json";
  std::ofstream(path)
      << "{\"version\": 1,\n \"default\": {\"repeat_limit\": 1, \"untold\": \"x\"}}";
  const std::string socket = directory.directory() + "/other.sock";
  const Ended ended = run_memfaild({"--socket-path", socket, "--policy", path});
  EXPECT_TRUE(failed(ended));
  EXPECT_THAT(ended.error_output, HasSubstr("--policy: " + path + ":2:33: default.untold: \"x\""));
  EXPECT_FALSE(std::filesystem::exists(socket));
}

class Policy : public ::testing::TestWithParam<const char*> {};

TEST_P(Policy, BuiltInStarts) {
  EXPECT_TRUE(Peer(Daemon({"--policy", GetParam()}).vms()).attach());
}

INSTANTIATE_TEST_SUITE_P(Names, Policy, ::testing::Values("qemu", "recommended"));

TEST(Process, TakesAPolicyFile) {
  const Daemon directory;
  const std::string path = directory.directory() + "/policy.json";
  std::ofstream(path) << R"({"version": 1, "vms": [{"name": "db*", "untold": "pause"}]})";
  const Daemon daemon({"--policy", path});
  EXPECT_TRUE(daemon.log_has("policy '" + path + "' (digest "));
  EXPECT_TRUE(Peer(daemon.vms()).attach());
}

class Ending : public ::testing::TestWithParam<int> {};

TEST_P(Ending, OnASignalIsQuickAndClean) {
  Daemon daemon;
  Peer peer(daemon.vms());
  ASSERT_TRUE(peer.attach());
  daemon.signal(GetParam());
  EXPECT_EQ(daemon.wait(), 0);
  EXPECT_TRUE(nobody_listens(daemon.vms()));
  EXPECT_TRUE(nobody_listens(daemon.events()));
  EXPECT_TRUE(nobody_listens(daemon.ctl()));
}

TEST(Process, TakesItsFilesAlongWhereItCanReachThem) {
  Daemon daemon({"--sandbox", "none"});
  daemon.signal(SIGTERM);
  EXPECT_EQ(daemon.wait(), 0);
  for (const auto& path : {daemon.vms(), daemon.events(), daemon.ctl()}) {
    EXPECT_FALSE(std::filesystem::exists(path)) << path;
  }
}

INSTANTIATE_TEST_SUITE_P(Signals, Ending, ::testing::Values(SIGTERM, SIGINT));

TEST(Process, SocketsAreNotForEverybody) {
  const Daemon daemon;
  struct stat file{};
  ASSERT_EQ(::stat(daemon.vms().c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0660U);
}

TEST(Process, KeepsListeningAfterAVmLeft) {
  const Daemon daemon;
  {
    Peer first(daemon.vms());
    ASSERT_TRUE(first.attach());
    first.send_goodbye();
    EXPECT_TRUE(first.receive().is_ack());
  }
  EXPECT_TRUE(Peer(daemon.vms()).attach());
}

TEST(Process, OneOffEndsWithItsVm) {
  Daemon daemon({"--one-off"});
  Peer peer(daemon.vms());
  ASSERT_TRUE(peer.attach());
  peer.send_goodbye();
  EXPECT_EQ(daemon.wait(), 0);
}

// User plus system time, in clock ticks.
long cpu_ticks(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  long ticks = 0;
  for (int i = 1; i <= 15 && in >> word; ++i) ticks += i >= 14 ? std::stol(word) : 0;
  return ticks;
}

TEST(Process, IdleMeansIdle) {
  const Daemon daemon({"--sandbox", "none"});
  Peer peer(daemon.vms());
  ASSERT_TRUE(peer.attach());
  const auto switches = [&] {
    std::ifstream in("/proc/" + std::to_string(daemon.pid()) + "/status");
    std::string word;
    while (in >> word && word != "voluntary_ctxt_switches:") {
    }
    in >> word;
    return std::stol(word);
  };
  ::usleep(1'200'000);  // past the hello timer
  const long before = switches();
  const long ticks = cpu_ticks(daemon.pid());
  ::usleep(500'000);
  EXPECT_EQ(switches(), before);
  EXPECT_EQ(cpu_ticks(daemon.pid()), ticks);
}

}  // namespace
}  // namespace memfail::test
