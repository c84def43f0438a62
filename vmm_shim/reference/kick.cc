// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/kick.h"

#include <signal.h>

#include "vmm_shim/reference/exit.h"

namespace memfail::reference {
namespace {

constexpr int kKickSignal = SIGUSR1;

// initial-exec: a signal handler must not be the one that allocates TLS.
[[gnu::tls_model("initial-exec")]] thread_local kvm_run* volatile kick_target = nullptr;

void on_kick(int) {
  if (kvm_run* run = kick_target) run->immediate_exit = 1;
}

}  // namespace

void install_kick_handler() {
  struct sigaction action{};
  action.sa_handler = on_kick;  // no SA_RESTART: KVM_RUN is to return
  must(sigaction(kKickSignal, &action, nullptr), "sigaction(SIGUSR1)");
}

void set_kick_target(kvm_run* run) { kick_target = run; }

void kick(pthread_t thread) { pthread_kill(thread, kKickSignal); }

}  // namespace memfail::reference
