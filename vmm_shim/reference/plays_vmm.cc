// SPDX-License-Identifier: BSD-3-Clause
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#include "vmm_shim/reference/exit.h"
#include "vmm_shim/reference/guest.h"
#include "vmm_shim/reference/plays.h"
#include "vmm_shim/reference/poison.h"
#include "vmm_shim/reference/sigbus.h"

namespace memfail::reference {
namespace {

// A file that is shorter than its mapping, and who mends that.
int short_file = -1;
std::atomic<unsigned> mended = 0;

void mend(int, siginfo_t* info, void*) {
  if (info->si_code != BUS_ADRERR || ftruncate(short_file, 4096) < 0) _exit(kExitFailure);
  ++mended;
}

// As if the VMM had had this handler before memfail's came into it.
void have_earlier_handler(Stage& stage) {
  struct sigaction action{};
  action.sa_sigaction = mend;
  action.sa_flags = SA_SIGINFO;
  must(sigaction(SIGBUS, &action, nullptr), "sigaction(SIGBUS)");
  install_sigbus_handler(stage.vmm().failures().process_lane());
}

const volatile std::byte* map_short_file() {
  short_file = must(memfd_create("short", MFD_CLOEXEC), "memfd_create");
  void* page = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, short_file, 0);
  if (page == MAP_FAILED) die("mapping a file");
  return static_cast<const volatile std::byte*>(page);
}

}  // namespace

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

// A thread that runs no vCPU meets the guest's page. Ends in abort.
void play_ar_by_device(Stage& stage) { stage.device_touches_broken(kFirstPage); }

// The same where the device can leave its access and the policy asks for a pause: the page
// is remembered, and the guest is told of it once an operator lets the VM go on.
void play_ar_by_device_paused(Stage& stage) {
  stage.expect("the access to be left",
               [left = !stage.device_touches_broken(kFirstPage)] { return left; });
  stage.vmm().pause();
  stage.expect("the page to be known as broken",
               [&] { return stage.vmm().failures().broken_pages() == 1; });
  stage.vmm().resume();
  stage.expect_banks(0, 1);
  stage.expect_incidents(1);
}

// The kernel knows that memory broke, not where. Ends in abort.
void play_si_kernel(Stage& stage) {
  stage.vmm().vcpu(0).post(
      [&] { stage.vmm().vcpu(0).hooks().in_run = [] { raise_sigbus(SI_KERNEL, 0, 0); }; });
  stage.expect_incidents(1);
}

// SIGBUS, but no hardware error: a mapping without a page behind it (a truncated file,
// an empty pool of huge pages). Whose the signal was before, has it; the guest never
// hears of it. On a vCPU's thread, inside the bracket, by the kernel itself.
void play_adrerr(Stage& stage) {
  have_earlier_handler(stage);
  const volatile std::byte* page = map_short_file();
  stage.on_thread(0, [&] { stage.vmm().vcpu(0).hooks().in_run = [page] { (void)*page; }; });
  stage.vmm().timeline().note("vCPU 0's thread touches a page past a file's end");
  stage.expect("the earlier handler", [] { return mended == 1; });
  stage.vmm().timeline().note("the signal was handed on");
  stage.expect_out_of_handler(0);
}

}  // namespace memfail::reference
