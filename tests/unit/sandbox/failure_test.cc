// SPDX-License-Identifier: BSD-3-Clause
//
// The ways in which a program ends that its author did not mean to end, behind each
// thread's filter: its last words come out, and the process ends. By SIGSYS where abort()
// ends it, for the filter lets no thread send a signal.
#include <cxxabi.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "shm/unique_fd.h"
#include "sidecar/sandbox/sandbox.h"
#include "tests/sanitized.h"

extern "C" {
// What a failed assert() calls; what GCC calls in a function whose canary is gone, and for an
// overflow that _FORTIFY_SOURCE sees at run time.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): libc's names
extern void __assert_fail(const char* what, const char* file, unsigned line,
                          const char* function) noexcept __attribute__((noreturn));
[[noreturn]] void __stack_chk_fail();
[[noreturn]] void __chk_fail();
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}

namespace memfail::sandbox {
namespace {

using test::kSanitized;

constexpr int kNoSandbox = 2;

struct Failure {
  const char* name;
  int signal;
  const char* last_words;  // a part of them; empty: it has none
  std::function<void()> happen;
};

void assertion_fails() { __assert_fail("handle->loop == loop", "core.c", 1, "uv_close"); }

// A size that only the caller's input has.
void allocation_fails() {
  const volatile std::size_t size = std::numeric_limits<std::ptrdiff_t>::max();
  [[maybe_unused]] void* const volatile memory = ::operator new(size);
}

void element_beyond_a_vector() {
  const std::vector<int> empty;
  const volatile std::size_t index = 3;
  [[maybe_unused]] const volatile int value = empty[index];
}

[[noreturn]] void exception_leaves() { throw std::runtime_error("nobody catches this"); }

void heap_is_damaged() {
  void* const volatile memory = std::malloc(32);
  std::free(memory);
  std::free(memory);  // NOLINT(clang-analyzer-unix.Malloc)
}

void null_is_read() {
  const int* const volatile nowhere = nullptr;
  [[maybe_unused]] const volatile int value =
      *nowhere;  // NOLINT(clang-analyzer-core.NullDereference)
}

const std::vector<Failure>& failures() {
  static const std::vector<Failure> all{
      {"assertion", SIGSYS, "handle->loop == loop", assertion_fails},
      {"allocation", SIGSYS, "bad_alloc", allocation_fails},
      {"uncaught", SIGSYS, "nobody catches this", exception_leaves},
      {"terminate", SIGSYS, "terminate called", [] { std::terminate(); }},
      {"bounds", SIGSYS, "operator[]", element_beyond_a_vector},
      {"pure", SIGSYS, "pure virtual method called", [] { abi::__cxa_pure_virtual(); }},
      {"stack", SIGSYS, "stack smashing detected", [] { __stack_chk_fail(); }},
      {"overflow", SIGSYS, "buffer overflow detected", [] { __chk_fail(); }},
      {"heap", SIGSYS, "free(): ", heap_is_damaged},
      {"abort", SIGSYS, "", [] { std::abort(); }},
      {"null", SIGSEGV, "", null_is_read},
  };
  return all;
}

// Fails behind the filter of that thread, the other's being in force as well.
[[noreturn]] void fail_inside(const Failure& failure, Grade grade, Thread thread) {
  Sandbox sandbox(grade, Forbidden::kKill);
  if (!sandbox.shed({}) || !sandbox.enter()) ::_exit(kNoSandbox);
  if (thread == Thread::kLoop) {
    if (!sandbox.seal(true)) ::_exit(kNoSandbox);
    [&]() noexcept { failure.happen(); }();  // a test catches what is thrown
    ::_exit(0);
  }
  std::thread([&] {
    if (!sandbox.confine(thread)) ::_exit(kNoSandbox);
    failure.happen();
    ::_exit(0);
  }).join();
  ::_exit(0);
}

struct End {
  int status = -1;
  std::string last_words;
};

End end_of(const Failure& failure, Grade grade, Thread thread) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const shm::UniqueFd said(ends[0]);
  shm::UniqueFd say(ends[1]);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(say.get(), STDERR_FILENO);
    fail_inside(failure, grade, thread);
  }
  say.reset();
  End end;
  char bytes[512];
  for (ssize_t got = 0; (got = ::read(said.get(), bytes, sizeof bytes)) > 0;) {
    end.last_words.append(bytes, static_cast<std::size_t>(got));
  }
  EXPECT_EQ(::waitpid(pid, &end.status, 0), pid);
  return end;
}

class FailureInside : public ::testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "SKIPPED: a build with a sanitizer has no filter";
  }
  const Failure& failure() const { return failures().at(GetParam()); }
};

TEST_P(FailureInside, SaysWhyAndEnds) {
  for (const Thread thread : {Thread::kLoop, Thread::kJournal, Thread::kCloser}) {
    const End end = end_of(failure(), Grade::kAuto, thread);
    EXPECT_TRUE(WIFSIGNALED(end.status) && WTERMSIG(end.status) == failure().signal)
        << end.status << ' ' << end.last_words;
    EXPECT_NE(end.last_words.find(failure().last_words), std::string::npos) << end.last_words;
  }
}

// The process that waits hands it on.
TEST_P(FailureInside, EndsSoInStrictToo) {
  const End end = end_of(failure(), Grade::kStrict, Thread::kLoop);
  ASSERT_TRUE(WIFEXITED(end.status)) << end.status;
  EXPECT_EQ(WEXITSTATUS(end.status), 128 + failure().signal) << end.last_words;
  EXPECT_NE(end.last_words.find(failure().last_words), std::string::npos) << end.last_words;
}

// mremap() is refused: realloc() of what has its own mapping must copy.
TEST(Inside, AGreatBlockCanGrow) {
  if (kSanitized) GTEST_SKIP() << "SKIPPED: a build with a sanitizer has no filter";
  const Failure grow{"grow", 0, "", [] {
                       constexpr std::size_t kGreat = 1 << 20;
                       auto* memory = static_cast<char*>(std::malloc(kGreat));
                       memory[kGreat - 1] = 'x';
                       memory = static_cast<char*>(std::realloc(memory, 8 * kGreat));
                       if (memory == nullptr || memory[kGreat - 1] != 'x') std::abort();
                       std::free(memory);
                     }};
  const End end = end_of(grow, Grade::kAuto, Thread::kLoop);
  EXPECT_TRUE(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0) << end.status;
}

// The C library's malloc would give memory back then, in a way that opens a file.
TEST(Inside, AThreadCanFreeAllThatABurstTook) {
  if (kSanitized) GTEST_SKIP() << "SKIPPED: a build with a sanitizer has no filter";
  const Failure burst{"burst", 0, "", [] {
                        std::vector<std::unique_ptr<char[]>> blocks;
                        for (int i = 0; i < 256; ++i) {
                          blocks.push_back(std::make_unique<char[]>(16 << 10));
                        }
                        while (!blocks.empty()) blocks.pop_back();
                      }};
  for (const Grade grade : {Grade::kAuto, Grade::kStrict}) {
    for (const Thread thread : {Thread::kLoop, Thread::kJournal, Thread::kCloser}) {
      const End end = end_of(burst, grade, thread);
      EXPECT_TRUE(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0) << end.status;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Failures, FailureInside,
                         ::testing::Range<std::size_t>(0, failures().size()),
                         [](const auto& about) { return failures().at(about.param).name; });

}  // namespace
}  // namespace memfail::sandbox
