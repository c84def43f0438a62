// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(waiter): rt_sigtimedwait wait4 kill exit_group
#include "sidecar/sandbox/pid_namespace.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "sidecar/sandbox/descriptors.h"
#include "sidecar/sandbox/filter.h"
#include "sidecar/sandbox/limits.h"
#include "sidecar/sandbox/privileges.h"

namespace memfail::sandbox {
namespace {

sigset_t awaited() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&set, number);
  return set;
}

// 128 and the signal, as a shell says it: this process must not die of a signal that its
// supervisor would take for its own.
int exit_status(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// What cannot be had in this process ends both, so this one has to say it.
[[noreturn]] void refuse_to_wait(const std::string& why) {
  ::dprintf(STDERR_FILENO,
            "memfaild: --sandbox strict: a wall around the process that waits cannot be had: %s "
            "(--sandbox auto goes on without it)\n",
            why.c_str());
  ::_exit(1);
}

Done close_everything() { return close_all_but({}); }
Done load_own_filter() { return load_filter(Thread::kWaiter, Forbidden::kKill); }

[[noreturn]] void wait_for(pid_t child) {
  // One after the other: behind the filter nothing can be said any more.
  for (Done (*const layer)() : {close_everything, drop_capabilities, refuse_new_privileges,
                                refuse_dumps, refuse_core_files, load_own_filter}) {
    if (const Done done = layer(); !done) refuse_to_wait(done.error());
  }
  const sigset_t signals = awaited();
  for (;;) {
    const int number = ::sigwaitinfo(&signals, nullptr);
    if (number == SIGTERM || number == SIGINT) ::kill(child, number);
    int status = 0;
    if (number == SIGCHLD && ::waitpid(child, &status, WNOHANG) == child) {
      ::_exit(exit_status(status));
    }
  }
}

}  // namespace

Done enter_pid_namespace() {
  if (::unshare(CLONE_NEWPID) != 0) {
    return refused("unshare(CLONE_NEWPID)", "it needs the user namespace, or root");
  }
  const sigset_t signals = awaited();
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &signals, &before);
  const pid_t child = ::fork();
  if (child < 0) return refused("fork");
  if (child > 0) wait_for(child);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  return {};
}

}  // namespace memfail::sandbox
