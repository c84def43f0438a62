// SPDX-License-Identifier: BSD-3-Clause
//
// A thread of the VMM dies, is cancelled or forks after each instruction of claiming
// a cell and writing its report.
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "tests/integration/shm/child.h"
#include "tests/unit/shm/areas.h"
#include "tests/unit/shm/dead_thread.h"
#include "tests/unit/shm/single_step.h"

namespace memfail::shm {
namespace {

using testing::Areas;
using testing::kStride;
using testing::SingleStep;

std::uint32_t own_pid() { return static_cast<std::uint32_t>(::getpid()); }
std::uint32_t own_tid() { return static_cast<std::uint32_t>(::syscall(SYS_gettid)); }

// What a signal handler does in a thread that is no vCPU's, and in one that is.
bool report_in_slot(const Areas& areas) {
  const auto claim = claim_slot(areas.shim_request(), areas.shim_reply(), own_pid(), own_tid());
  if (claim) areas.commit_report(*claim);
  return claim.has_value();
}
bool report_in_lane(const Areas& areas) {
  const auto claim = claim_in_lane(areas.shim_request(), areas.shim_reply(), 0);
  if (claim) areas.commit_report(*claim);
  return claim.has_value();
}

// The first call binds what it calls and is not counted.
long count_steps(bool (*report)(const Areas&)) {
  report(Areas(1));
  const Areas areas(1);
  return SingleStep::run([&] { report(areas); }, 0, nullptr);
}

// ASan keeps a record in a thread's own memory, which glibc gives to the next thread:
// one that ends without libc leaves it there. And its calls in the middle of what is
// else one instruction put unwinding through noexcept functions of the test itself.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCanDie = false;
#else
constexpr bool kCanDie = testing::kCanStep;
#endif

struct Death {
  const char* name;
  void (*act)();
};
const Death kDeaths[] = {
    {"SYS_exit", [] { ::syscall(SYS_exit, 0); }},
    {"pthread_exit", [] { ::pthread_exit(nullptr); }},
    {"pthread_cancel",
     [] {
       // What a VMM's library might do is the very thing to be tested.
       // NOLINTNEXTLINE(concurrency-thread-canceltype-asynchronous)
       ::pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
       ::pthread_cancel(::pthread_self());
     }},
};

LineState first_report(const Areas& areas, std::uint32_t lane) {
  wire::ReportLine line;
  const auto state = read_line(areas.sidecar_request().line({lane, 0}, LineKind::kReport),
                               Areas::key(lane), 1, line);
  EXPECT_TRUE(state != LineState::kCommitted || testing::same_report(line, 1));
  return state;
}

// After the death, what is left must be all slots but a committed one.
void expect_slots(const Areas& areas, long step, int& reclaimed, int& committed) {
  const std::uint32_t first = areas.geometry.vcpus();
  const LineState state = first_report(areas, first);
  ASSERT_NE(state, LineState::kCorrupt) << "step " << step;
  const bool stands = state == LineState::kCommitted;
  for (std::uint32_t i = 0; i < kSlots - (stands ? 1U : 0U); ++i) {
    ASSERT_TRUE(report_in_slot(areas)) << "step " << step << ", slot " << i;
  }
  ASSERT_FALSE(report_in_slot(areas)) << "step " << step;
  ASSERT_EQ(first_report(areas, first), LineState::kCommitted);
  const auto count = areas.sidecar_request().reclaimed_slots();
  ASSERT_LE(count, stands ? 0U : 1U);
  reclaimed += static_cast<int>(count);
  committed += stands ? 1 : 0;
}

TEST(AThread, ThatDiesAfterEachInstructionOfAReportLosesNoSlot) {
  if (!kCanDie) GTEST_SKIP() << "SKIPPED under sanitizers: their threads must not die so";
  const SingleStep stepping;
  crc32c_prepare();
  const long steps = count_steps(report_in_slot);
  for (const Death& death : kDeaths) {
    int reclaimed = 0;
    int committed = 0;
    int deaths = 0;
    for (long at = 1; at <= steps; at += kStride, ++deaths) {
      const Areas areas(1);
      testing::run_and_bury(
          [&] { SingleStep::run([&] { report_in_slot(areas); }, at, death.act); });
      expect_slots(areas, at, reclaimed, committed);
      if (HasFatalFailure()) return;
    }
    std::printf("%s after each of %ld instructions (%d deaths): %d reclaimed, %d had committed\n",
                death.name, steps, deaths, reclaimed, committed);
    EXPECT_GT(reclaimed, 0);
    EXPECT_GT(committed, 0);
  }
}

TEST(AVcpuThread, ThatDiesAfterEachInstructionOfAReportLeavesItWholeOrHalfWritten) {
  if (!kCanDie) GTEST_SKIP() << "SKIPPED under sanitizers: their threads must not die so";
  const SingleStep stepping;
  crc32c_prepare();
  const long steps = count_steps(report_in_lane);
  int half_written = 0;
  int committed = 0;
  for (long at = 1; at <= steps; at += kStride) {
    const Areas areas(1);
    testing::run_and_bury(
        [&] { SingleStep::run([&] { report_in_lane(areas); }, at, kDeaths[0].act); });
    const std::uint64_t next = load_word(areas.sidecar_request().lane(0), wire::kLaneNextOffset);
    const LineState state = first_report(areas, 0);
    ASSERT_NE(state, LineState::kCorrupt) << "step " << at;
    ASSERT_LE(next, 1U);
    ASSERT_TRUE(state != LineState::kCommitted || next == 1) << "committed, so claimed";
    half_written += next == 1 && state != LineState::kCommitted ? 1 : 0;
    committed += state == LineState::kCommitted ? 1 : 0;
  }
  std::printf("a vCPU thread died after each of %ld instructions: %d half-written, %d whole\n",
              steps, half_written, committed);
  EXPECT_GT(half_written, 0);
  EXPECT_GT(committed, 0);
}

// The child looks at its parent's session, as its copy of the handler would.
struct Fork {
  const std::byte* touch = nullptr;
  pid_t child = -1;
} forked;

void fork_and_touch() {
  forked.child = ::fork();
  if (forked.child != 0) return;
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::signal(SIGSEGV, SIG_DFL);
  auto* byte = const_cast<volatile std::byte*>(forked.touch);
  *byte = std::byte{0xFF};
  ::_exit(1);
}

TEST(AThread, ThatForksAfterEachInstructionOfAReportGivesNothingOfItToTheChild) {
  if (!testing::kCanStep) GTEST_SKIP() << "SKIPPED under ThreadSanitizer: no single steps";
  const SingleStep stepping;
  crc32c_prepare();
  const long steps = count_steps(report_in_slot);
  int forks = 0;
  for (long at = 1; at <= steps; at += kStride, ++forks) {
    const Areas areas(1);
    forked.touch = areas.shim_request().line({1, 0}, LineKind::kReport);
    bool reported = false;
    SingleStep::run([&] { reported = report_in_slot(areas); }, at, fork_and_touch);
    ASSERT_TRUE(reported);
    ASSERT_EQ(first_report(areas, 1), LineState::kCommitted) << "step " << at;
    int status = 0;
    ASSERT_EQ(::waitpid(forked.child, &status, 0), forked.child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) << "step " << at;
    ASSERT_EQ(first_report(areas, 1), LineState::kCommitted) << "step " << at;
    ASSERT_EQ(areas.sidecar_request().reclaimed_slots(), 0U);
  }
  std::printf("fork after each of %ld instructions: %d children, each died of SIGSEGV\n", steps,
              forks);
}

}  // namespace
}  // namespace memfail::shm
