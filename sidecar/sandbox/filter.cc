// SPDX-License-Identifier: BSD-3-Clause
//
// What the C library needs, whatever thread it runs in:
//   memory       syscall(loop journal closer): brk mmap=no-exec munmap mprotect=no-exec
//                syscall(loop journal closer): madvise=dont-need
//   time         syscall(loop journal): clock_gettime
//   the end      syscall(loop journal closer): rt_sigprocmask exit exit_group
//   last words   syscall(loop journal closer): writev=stderr
//   handlers     syscall(loop journal closer waiter): rt_sigreturn
//
// Last words are what the C library says of a broken stack or heap. Not tgkill, getpid
// and gettid: abort() says why it was called, and ends by SIGSYS.
#include "sidecar/sandbox/filter.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "sidecar/sandbox/condition.h"
#include "sidecar/sandbox/filter_rules.inc"  // made by collect_rules.cmake
#include "sidecar/sandbox/trap.h"

namespace memfail::sandbox {
namespace {

constexpr const char* kAllowFilters =
    "; the kernel needs CONFIG_SECCOMP_FILTER, a container a profile that lets seccomp through";

using Context = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

std::uint32_t action_for(Forbidden forbidden) {
  switch (forbidden) {
    case Forbidden::kKill:
      return SCMP_ACT_KILL_PROCESS;
    case Forbidden::kTrap:
      return SCMP_ACT_TRAP;
    case Forbidden::kLog:
      return SCMP_ACT_LOG;
  }
  std::unreachable();
}

std::string failed(std::string_view what, int error) {
  return std::string(what) + ": " + std::strerror(-error);
}

std::expected<void, std::string> allow(scmp_filter_ctx filter, const Rule& rule) {
  const int number = seccomp_syscall_resolve_name(std::string(rule.call).c_str());
  if (number == __NR_SCMP_ERROR)
    return std::unexpected("no system call: " + std::string(rule.call));
  if (rule.condition.empty()) {
    const int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    if (error != 0) return std::unexpected(failed(rule.call, error));
    return {};
  }
  const Condition* condition = find_condition(rule.call, rule.condition);
  if (condition == nullptr) {
    return std::unexpected(std::string(rule.place) + ": no condition '" +
                           std::string(rule.condition) + "' for " + std::string(rule.call));
  }
  for (const scmp_arg_cmp& comparison : condition->any_of) {
    const int error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, 1, &comparison);
    if (error != 0) return std::unexpected(failed(rule.call, error));
  }
  return {};
}

bool same(const Rule& a, const Rule& b) {
  return a.thread == b.thread && a.call == b.call && a.condition == b.condition;
}

std::expected<Context, std::string> make(Thread thread, Forbidden forbidden, const Rule* without) {
  Context filter(seccomp_init(action_for(forbidden)), seccomp_release);
  if (filter == nullptr) {
    return std::unexpected(std::string("seccomp cannot be had") + kAllowFilters);
  }
  // Calls of another architecture (int 0x80, x32) are nobody's here, whatever the mode.
  seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a tree, not a list
  seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_NNP, 0);       // a layer of its own
  // Whoever asks for these has another way: a newer libuv, and realloc().
  for (const int call : {SCMP_SYS(io_uring_setup), SCMP_SYS(mremap)}) {
    seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), call, 0);
  }
  for (const Rule& rule : kRules) {
    if (rule.thread != thread || (without != nullptr && same(rule, *without))) continue;
    if (auto done = allow(filter.get(), rule); !done) return std::unexpected(done.error());
  }
  return filter;
}

}  // namespace

std::span<const Rule> rules() { return kRules; }

std::string_view name_of(Thread thread) {
  constexpr std::array kNames{"loop", "journal", "closer", "waiter"};
  return kNames.at(static_cast<std::size_t>(thread));
}

std::expected<void, std::string> load_filter(Thread thread, Forbidden forbidden) {
  auto filter = make(thread, forbidden, nullptr);
  if (!filter) return std::unexpected(filter.error());
  if (forbidden == Forbidden::kTrap) report_traps(name_of(thread));
  if (const int error = seccomp_load(filter->get()); error != 0) {
    return std::unexpected(failed("seccomp", error) + kAllowFilters);
  }
  return {};
}

std::expected<std::string, std::string> filter_program(Thread thread, const Rule* without) {
  auto filter = make(thread, Forbidden::kKill, without);
  if (!filter) return std::unexpected(filter.error());
  const int fd = ::memfd_create("filter", MFD_CLOEXEC);
  std::string program;
  if (fd >= 0 && seccomp_export_bpf(filter->get(), fd) == 0) {
    program.resize(static_cast<std::size_t>(::lseek(fd, 0, SEEK_END)));
    if (::pread(fd, program.data(), program.size(), 0) < 0) program.clear();
  }
  ::close(fd);
  if (program.empty()) return std::unexpected("the filter cannot be exported");
  return program;
}

}  // namespace memfail::sandbox
