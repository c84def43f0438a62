// SPDX-License-Identifier: BSD-3-Clause
//
// What an attacker in the sidecar's process would try, from inside the real sandbox: with
// the filter it dies of SIGSYS; with everything but the filter it gets nothing.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/sandbox/sandbox.h"
#include "tests/sanitized.h"

namespace memfail::sandbox {
namespace {

using test::kSanitized;

// Statuses of a child that was not killed.
constexpr int kGotNothing = 0;
constexpr int kGotThrough = 1;
constexpr int kNoSandbox = 2;

struct Attempt {
  const char* name;
  std::function<bool()> succeeds;
  bool needs_filter = false;  // without it there is no other layer against it
};

bool connects_to_loopback() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(22);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  // In a namespace of its own without a loopback that is up: ENETUNREACH.
  return ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ||
         errno == EINPROGRESS || errno == ECONNREFUSED;
}

bool runs_code_it_wrote() {
  void* page =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page != MAP_FAILED;
}

bool calls_as_32_bit() {
  long result = 20;  // getpid
  asm volatile("int $0x80" : "+a"(result)::"memory");
  return result > 0;
}

const std::vector<Attempt>& attempts() {
  static const std::vector<Attempt> all{
      {"open", [] { return ::open("/etc/passwd", O_RDONLY) >= 0; }},
      {"open-proc", [] { return ::open("/proc/self/mem", O_RDWR) >= 0; }},
      {"create", [] { return ::open("/new", O_WRONLY | O_CREAT, 0600) >= 0; }},
      {"connect", connects_to_loopback},
      {"exec", [] { return ::execl("/bin/true", "true", nullptr) == 0; }},
      {"fork", [] { return ::fork() >= 0; }},
      {"ptrace", [] { return ::ptrace(PTRACE_ATTACH, ::getppid(), nullptr, nullptr) == 0; }},
      {"kill", [] { return ::kill(1, 0) == 0 && ::getpid() != 1; }},
      {"mount", [] { return ::mount("none", "/", "tmpfs", 0, nullptr) == 0; }},
      {"chroot", [] { return ::chroot("/") == 0; }},
      {"new-namespace", [] { return ::unshare(CLONE_NEWNET) == 0; }},
      {"userfaultfd", [] { return ::syscall(SYS_userfaultfd, 0) >= 0; }},
      {"setuid", [] { return ::setuid(1) == 0; }},
      {"dumpable", [] { return ::syscall(SYS_prctl, 4 /* PR_SET_DUMPABLE */, 1) == 0; }, true},
      {"new-user-namespace", [] { return ::unshare(CLONE_NEWUSER) == 0; }, true},
      {"io-uring",
       [] {
         io_uring_params params{};
         return ::syscall(SYS_io_uring_setup, 4, &params) >= 0;
       },
       true},
      {"executable-memory", runs_code_it_wrote, true},
      {"int-0x80", calls_as_32_bit, true},
  };
  return all;
}

int try_inside(const Attempt& attempt, Grade grade, bool filtered) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    Sandbox sandbox(grade, Forbidden::kKill);
    if (!sandbox.shed({}) || !sandbox.enter()) ::_exit(kNoSandbox);
    if (filtered && !sandbox.seal(true)) ::_exit(kNoSandbox);
    ::_exit(attempt.succeeds() ? kGotThrough : kGotNothing);
  }
  int status = -1;
  ::waitpid(pid, &status, 0);
  return status;
}

// SIGSYS; where the kernel was built or told to have no 32-bit calls it faults of itself.
int death_of(const Attempt& attempt) {
  if (std::string_view(attempt.name) != "int-0x80") return SIGSYS;
  const int outside = try_inside(attempt, Grade::kNone, false);
  return WIFSIGNALED(outside) ? WTERMSIG(outside) : SIGSYS;
}

class Escape : public ::testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "SKIPPED: a build with a sanitizer has no filter";
  }
  const Attempt& attempt() const { return attempts().at(GetParam()); }
};

TEST_P(Escape, DiesOfItsFilter) {
  const int status = try_inside(attempt(), Grade::kAuto, true);
  if (std::string_view(attempt().name) == "io-uring") {
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == kGotNothing) << status;
    return;
  }
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == death_of(attempt())) << status;
}

TEST_P(Escape, GetsNothingEvenWithoutIt) {
  if (attempt().needs_filter) GTEST_SKIP() << "the filter alone stands against it";
  if (std::string_view(attempt().name) == "fork") GTEST_SKIP() << "seal() forbids it";
  if (std::string_view(attempt().name) == "kill") GTEST_SKIP() << "strict alone, see below";
  const int status = try_inside(attempt(), Grade::kAuto, false);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == kGotNothing) << status;
}

// In its own PID namespace there is nobody to signal; the parent hands the end on.
TEST_P(Escape, DiesInStrictToo) {
  const int status = try_inside(attempt(), Grade::kStrict, true);
  ASSERT_TRUE(WIFEXITED(status)) << status;
  const bool uring = std::string_view(attempt().name) == "io-uring";
  EXPECT_EQ(WEXITSTATUS(status), uring ? kGotNothing : 128 + death_of(attempt()));
}

INSTANTIATE_TEST_SUITE_P(Attempts, Escape, ::testing::Range<std::size_t>(0, attempts().size()),
                         [](const auto& about) {
                           std::string name = attempts().at(about.param).name;
                           std::erase(name, '-');
                           return name;
                         });

// The control: the same attempts outside.
TEST(NoSandbox, TheAttemptsAreReal) {
  for (const char* name : {"open", "fork", "executable-memory", "dumpable"}) {
    const auto attempt = std::ranges::find_if(
        attempts(), [&](const Attempt& one) { return std::string_view(one.name) == name; });
    const int status = try_inside(*attempt, Grade::kNone, true);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == kGotThrough) << name;
  }
}

}  // namespace
}  // namespace memfail::sandbox
