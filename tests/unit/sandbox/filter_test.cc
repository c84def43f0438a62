// SPDX-License-Identifier: BSD-3-Clause
//
// Each thread's filter, for every system call number: what has a rule passes with its
// arguments and with no others, and every rule is what lets its call through.
#include "sidecar/sandbox/filter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cerrno>
#include <set>
#include <string>
#include <vector>

#include "bpf.h"
#include "sidecar/sandbox/condition.h"

namespace memfail::sandbox {
namespace {

using testing::Call;
using testing::evaluate;

constexpr long kLastCall = 600;  // beyond what any kernel has today
constexpr std::size_t kMaxCalls = 36;
constexpr auto kAll = {Thread::kLoop, Thread::kJournal, Thread::kCloser, Thread::kWaiter};

std::string program_of(Thread thread, const Rule* without = nullptr) {
  const auto program = filter_program(thread, without);
  EXPECT_TRUE(program) << program.error();
  return program.value_or("");
}

long number_of(const Rule& rule) {
  return seccomp_syscall_resolve_name(std::string(rule.call).c_str());
}

std::vector<Rule> rules_of(Thread thread) {
  std::vector<Rule> out;
  for (const Rule& rule : rules()) {
    if (rule.thread == thread) out.push_back(rule);
  }
  return out;
}

// One call for each comparison that lets the rule's call through.
std::vector<Call> allowed_calls(const Rule& rule) {
  Call call{.number = number_of(rule)};
  if (rule.condition.empty()) return {call};
  const Condition* condition = find_condition(rule.call, rule.condition);
  EXPECT_NE(condition, nullptr) << rule.place << ": " << rule.call << "=" << rule.condition;
  std::vector<Call> out;
  if (condition == nullptr) return out;
  for (const scmp_arg_cmp& one : condition->any_of) {
    call.arguments = {};
    call.arguments[one.arg] = one.datum_b;
    out.push_back(call);
  }
  return out;
}

bool has_rule(const std::vector<Rule>& mine, long number) {
  for (const Rule& rule : mine) {
    if (number_of(rule) == number) return true;
  }
  return false;
}

TEST(Filter, AllowsWhatHasARule) {
  for (const Thread thread : kAll) {
    const std::string program = program_of(thread);
    for (const Rule& rule : rules_of(thread)) {
      for (const Call& call : allowed_calls(rule)) {
        EXPECT_EQ(evaluate(program, call), SECCOMP_RET_ALLOW)
            << name_of(thread) << ": " << rule.call << "=" << rule.condition;
      }
    }
  }
}

bool is_refused(long number) { return number == SYS_io_uring_setup || number == SYS_mremap; }

TEST(Filter, KillsEverythingElse) {
  for (const Thread thread : kAll) {
    const std::string program = program_of(thread);
    const std::vector<Rule> mine = rules_of(thread);
    for (long number = -1; number <= kLastCall; ++number) {
      if (is_refused(number) || has_rule(mine, number)) continue;
      EXPECT_EQ(evaluate(program, {.number = number}), SECCOMP_RET_KILL_PROCESS)
          << name_of(thread) << ": " << number;
    }
  }
}

// Whether one of the thread's rules for this call names this value of the argument.
bool is_named(const std::vector<Rule>& mine, const Rule& rule, const scmp_arg_cmp& argument,
              std::uint64_t value) {
  for (const Rule& other : mine) {
    if (other.call != rule.call) continue;
    for (const scmp_arg_cmp& one : find_condition(other.call, other.condition)->any_of) {
      EXPECT_EQ(one.arg, argument.arg) << "one argument a call: this test knows no more";
      if ((value & one.datum_a) == one.datum_b) return true;
    }
  }
  return false;
}

TEST(Filter, KillsWhatHasOtherArguments) {
  for (const Thread thread : kAll) {
    const std::string program = program_of(thread);
    const std::vector<Rule> mine = rules_of(thread);
    for (const Rule& rule : mine) {
      if (rule.condition.empty()) continue;
      const scmp_arg_cmp& argument = find_condition(rule.call, rule.condition)->any_of.front();
      int killed = 0;
      for (std::uint64_t value = 0; value < 4096; ++value) {
        if (is_named(mine, rule, argument, value)) continue;
        Call call{.number = number_of(rule)};
        call.arguments[argument.arg] = value;
        EXPECT_EQ(evaluate(program, call), SECCOMP_RET_KILL_PROCESS)
            << name_of(thread) << ": " << rule.call << " with " << value;
        ++killed;
      }
      EXPECT_GT(killed, 0) << rule.call;
    }
  }
}

TEST(Filter, EachRuleIsWhatLetsItsCallThrough) {
  for (const Thread thread : kAll) {
    for (const Rule& rule : rules_of(thread)) {
      const std::string program = program_of(thread, &rule);
      for (const Call& call : allowed_calls(rule)) {
        EXPECT_EQ(evaluate(program, call), SECCOMP_RET_KILL_PROCESS)
            << name_of(thread) << " without " << rule.call << "=" << rule.condition;
      }
    }
  }
}

TEST(Filter, SendsANewerLibuvBackToEpollAndReallocToACopy) {
  for (const Thread thread : kAll) {
    for (const long number : {SYS_io_uring_setup, SYS_mremap}) {
      EXPECT_EQ(evaluate(program_of(thread), {.number = number}), SECCOMP_RET_ERRNO | ENOSYS);
    }
  }
}

TEST(Filter, KillsCallsOfOtherArchitectures) {
  constexpr std::uint32_t kI386 = 0x40000003;
  constexpr long kX32 = 0x40000000;
  for (const Thread thread : kAll) {
    const std::string program = program_of(thread);
    for (const Rule& rule : rules_of(thread)) {
      EXPECT_EQ(evaluate(program, {.number = number_of(rule), .architecture = kI386}),
                SECCOMP_RET_KILL_PROCESS);
      EXPECT_EQ(evaluate(program, {.number = number_of(rule) | kX32}), SECCOMP_RET_KILL_PROCESS);
    }
  }
}

// What an attacker would want first, by name: it must not come back unnoticed.
TEST(Filter, HasNothingThatOpensTheHost) {
  for (const Thread thread : kAll) {
    const std::string program = program_of(thread);
    for (const long number : {SYS_open,
                              SYS_openat,
                              SYS_openat2,
                              SYS_socket,
                              SYS_connect,
                              SYS_bind,
                              SYS_execve,
                              SYS_execveat,
                              SYS_clone,
                              SYS_clone3,
                              SYS_fork,
                              SYS_ptrace,
                              SYS_ioctl,
                              SYS_prctl,
                              SYS_process_vm_readv,
                              SYS_process_vm_writev,
                              SYS_pidfd_getfd,
                              SYS_userfaultfd,
                              SYS_bpf,
                              SYS_mount,
                              SYS_unshare,
                              SYS_setns,
                              SYS_keyctl,
                              SYS_perf_event_open}) {
      EXPECT_EQ(evaluate(program, {.number = number}), SECCOMP_RET_KILL_PROCESS) << number;
    }
    Call set_flags{.number = SYS_fcntl};
    set_flags.arguments[1] = F_SETFL;
    EXPECT_EQ(evaluate(program, set_flags), SECCOMP_RET_KILL_PROCESS);
  }
}

TEST(Filter, IsShort) {
  std::set<std::string_view> calls;
  for (const Rule& rule : rules()) {
    if (rule.thread == Thread::kLoop || rule.thread == Thread::kJournal) calls.insert(rule.call);
  }
  EXPECT_LE(calls.size(), kMaxCalls);
}

}  // namespace
}  // namespace memfail::sandbox
