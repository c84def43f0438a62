// SPDX-License-Identifier: BSD-3-Clause
#include <signal.h>

#include "vmm_shim/reference/plays.h"
#include "vmm_shim/reference/poison.h"

namespace memfail::reference {

// Ends in Vmm::abort(): the load cannot be resumed.
void play_ar_vmm_memory(Stage& stage) { stage.this_thread_touches_broken(Stage::own_page()); }

// Nobody needs the page now: on we go.
void play_ao_vmm_memory(Stage& stage) {
  stage.this_thread_told_of_broken(Stage::own_page());
  stage.expect_incidents(1);
}

// Guest RAM, but touched by the VMM's own code on a vCPU's thread. Ends in abort.
void play_ar_outside_run(Stage& stage) {
  stage.on_thread(0, [&] { stage.this_thread_touches_broken(stage.page(kFirstPage)); });
}

// The kernel knows that memory broke, not where. Ends in abort.
void play_si_kernel(Stage& stage) {
  stage.vmm().vcpu(0).post(
      [&] { stage.vmm().vcpu(0).hooks().in_run = [] { raise_sigbus(SI_KERNEL, 0, 0); }; });
  stage.expect_incidents(1);
}

}  // namespace memfail::reference
