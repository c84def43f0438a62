// SPDX-License-Identifier: BSD-3-Clause
//
// How each scenario goes; the table of them is in scenario.cc.
#pragma once

#include "vmm_shim/reference/stage.h"

namespace memfail::reference {

// plays_guest.cc: the guest's memory, and a guest that can be told.
void play_ar_guest_ram(Stage& stage);
void play_ao_guest_ram(Stage& stage);
void play_ao_guest_ram_amd(Stage& stage);
void play_ao_and_ar_together(Stage& stage);
void play_broadcast(Stage& stage);
void play_ar_same_page(Stage& stage);
void play_ao_while_paused(Stage& stage);
void play_bank_in_use(Stage& stage);
void play_ao_hugetlb(Stage& stage);
void play_exception_injected(Stage& stage);
void play_memory_fault_exit(Stage& stage);
void play_lmce(Stage& stage);
void play_ucna(Stage& stage);

// plays_unready.cc: a guest that cannot be told now, or never.
void play_cr4_mce_clear(Stage& stage);
void play_mcip_set(Stage& stage);
void play_no_software_recovery(Stage& stage);
void play_no_recovery_amd(Stage& stage);
void play_banks_full(Stage& stage);
void play_double_fault(Stage& stage);
void play_sibling_queued(Stage& stage);
void play_ap_not_started(Stage& stage);
void play_mcg_ctl_off(Stage& stage);
void play_bank_ctl_off(Stage& stage);
void play_emulated_access(Stage& stage);
void play_ao_told_later(Stage& stage);
void play_reset_repairs(Stage& stage);
void play_reset_pool_empty(Stage& stage);

// plays_many.cc: more of it than one guest should have.
void play_no_progress(Stage& stage);
void play_storm(Stage& stage);
void play_two_errors(Stage& stage);
void play_one_page_many_vcpus(Stage& stage);

// plays_migration.cc: the broken pages go with the VM.
void play_migration(Stage& stage);
void play_migration_refused(Stage& stage);

// plays_operator.cc: an operator asks for it, by way of the sidecar.
void play_drill_ar(Stage& stage);
void play_drill_ao(Stage& stage);
void play_drill_reset(Stage& stage);
void play_injected(Stage& stage);
void play_injected_broadcast(Stage& stage);

// plays_vmm.cc: the failure hits the VMM itself.
void play_ar_vmm_memory(Stage& stage);
void play_ao_vmm_memory(Stage& stage);
void play_ar_outside_run(Stage& stage);
void play_ar_by_device(Stage& stage);
void play_ar_by_device_paused(Stage& stage);
void play_si_kernel(Stage& stage);
void play_adrerr(Stage& stage);

}  // namespace memfail::reference
