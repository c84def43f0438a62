// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/sigbus.h"

#include <signal.h>
#include <unistd.h>

#include "vmm_shim/reference/exit.h"
#include "vmm_shim/reference/guard.h"

namespace memfail::reference {
namespace {

memfail_lane* process_lane = nullptr;
struct sigaction previous_action{};

// initial-exec: a signal handler must not be the one that allocates TLS.
[[gnu::tls_model("initial-exec")]] thread_local memfail_lane* volatile thread_lane = nullptr;

// Not a memory failure: what would have happened without us.
void chain(int signal, siginfo_t* info, void* context) {
  if (previous_action.sa_flags & SA_SIGINFO) {
    previous_action.sa_sigaction(signal, info, context);
  } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(signal);
  } else {
    sigaction(signal, &previous_action, nullptr);  // the access faults again, and kills
  }
}

void on_sigbus(int signal, siginfo_t* info, void* context) {
  memfail_lane* lane = thread_lane ? thread_lane : process_lane;
  switch (memfail_sigbus(lane, info, context)) {
    case MEMFAIL_SIGBUS_TAKEN:
      return;
    case MEMFAIL_SIGBUS_MUST_NOT_RETURN:
      _exit(kExitAborted);
    case MEMFAIL_SIGBUS_PAUSE:
      leave_guarded();
    default:
      chain(signal, info, context);
  }
}

}  // namespace

void install_sigbus_handler(memfail_lane* lane) {
  process_lane = lane;
  struct sigaction action{};
  action.sa_sigaction = on_sigbus;
  // NODEFER: a second failure may come while the first is being reported.
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  struct sigaction before{};
  must(sigaction(SIGBUS, &action, &before), "sigaction(SIGBUS)");
  // Ours already, for another VM of this process: what was before that is still chained to.
  if (before.sa_sigaction != on_sigbus) previous_action = before;
}

void set_sigbus_lane(memfail_lane* lane) { thread_lane = lane; }

}  // namespace memfail::reference
