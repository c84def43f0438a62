// SPDX-License-Identifier: BSD-3-Clause
#include <signal.h>

#include <barrier>
#include <memory>

#include "vmm_shim/reference/guest.h"
#include "vmm_shim/reference/plays.h"

namespace memfail::reference {

void play_ar_guest_ram(Stage& stage) {
  stage.break_page(kFirstPage);
  stage.guest_touches_broken(0, kFirstPage);
  stage.expect_recovered(0);
  stage.expect_incidents(1);
}

void play_ao_guest_ram(Stage& stage) {
  stage.vcpu_told_of_broken(0, kFirstPage);
  stage.expect_incidents(1);
  // AMD's deferred record raises no #MC: the guest finds it when it looks.
  const bool polled = stage.vmm().config().cpu.vendor == Vendor::kAmd;
  if (polled) stage.vmm().command(0, COMMAND_SCAN_BANKS);
  stage.expect_banks(0, 1);
}

// The second error comes while the first is reported, not handled: both wait in
// the vCPU's lane.
void play_ao_and_ar_together(Stage& stage) {
  stage.break_page(kFirstPage);
  stage.on_thread(0, [&] {
    stage.vmm().vcpu(0).hooks().before_handle = [&] {
      stage.this_thread_told_of_broken(stage.page(kSecondPage));
    };
  });
  stage.guest_touches_broken(0, kFirstPage);
  stage.expect_recovered(0);
  stage.expect_incidents(2);
}

// An Intel guest is told on all its vCPUs.
void play_broadcast(Stage& stage) {
  stage.break_page(kFirstPage);
  stage.guest_touches_broken(0, kFirstPage);
  stage.expect_recovered(0);
  stage.expect_banks(1, 1);
  stage.expect_incidents(1);
}

// Both vCPUs have met the page before either is handled; each is to be told, and
// each broadcasts to the other. A VMM that waits for the other vCPU here hangs.
void play_ar_same_page(Stage& stage) {
  const auto both = std::make_shared<std::barrier<>>(2);
  for (const unsigned vcpu : {0u, 1u}) {
    stage.on_thread(vcpu, [&] {
      stage.vmm().vcpu(vcpu).hooks().before_handle = [both] { both->arrive_and_wait(); };
    });
  }
  stage.break_page(kFirstPage);
  stage.guest_touches_broken(0, kFirstPage);
  stage.guest_touches_broken(1, kFirstPage);
  stage.expect_recovered(0);
  stage.expect_recovered(1);
  stage.expect_incidents(2);
}

// The guest asks for machine checks on the affected vCPU alone.
void play_lmce(Stage& stage) {
  constexpr std::uint32_t kMsrFeatureControl = 0x3A, kMsrMcgExtCtl = 0x4D0;
  constexpr std::uint64_t kLocked = 1, kLmceOn = 1 << 20;
  stage.vmm().command(0, COMMAND_WRMSR, kMsrFeatureControl, kLocked | kLmceOn);
  stage.expect_done(0, 1);
  stage.vmm().command(0, COMMAND_WRMSR, kMsrMcgExtCtl, 1);
  stage.expect_done(0, 2);
  play_ar_guest_ram(stage);
}

}  // namespace memfail::reference
