// SPDX-License-Identifier: BSD-3-Clause
#include <signal.h>

#include <barrier>
#include <cerrno>
#include <cstring>
#include <memory>

#include "vmm_shim/reference/guest.h"
#include "vmm_shim/reference/kvm_ioctl.h"
#include "vmm_shim/reference/plays.h"
#include "vmm_shim/reference/vcpu_setup.h"

namespace memfail::reference {
namespace {

// KVM is about to give the guest this exception, and meets the page first.
void meet_with_exception(Stage& stage, std::uint8_t vector, std::uint32_t offset) {
  stage.on_thread(0, [&] {
    queue_exception(stage.vmm().vcpu(0).fd(), vector);
    stage.arm(0, offset);
  });
}

}  // namespace

void play_ar_guest_ram(Stage& stage) {
  stage.break_page(kFirstPage);
  stage.guest_touches_broken(0, kFirstPage);
  stage.expect_recovered(0);
  stage.expect_incidents(1);
}

void play_ao_guest_ram(Stage& stage) {
  stage.vcpu_told_of_broken(0, kFirstPage);
  stage.expect_incidents(1);
  stage.expect_banks(0, 1);
}

// QEMU's deferred record raises no #MC: the guest finds it when it looks. Otherwise
// the guest hears of the page when it touches it.
void play_ao_guest_ram_amd(Stage& stage) {
  stage.vcpu_told_of_broken(0, kFirstPage);
  stage.expect_incidents(1);
  if (stage.parity()) {
    stage.vmm().command(0, COMMAND_SCAN_BANKS);
  } else {
    stage.guest_touches_broken(0, kFirstPage);
    stage.expect_incidents(2);
  }
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

// The page breaks while the VM does not run, and the guest hears of it when it does.
void play_ao_while_paused(Stage& stage) {
  stage.vmm().failures().vm_running(false);
  stage.vcpu_told_of_broken(0, kFirstPage);
  stage.expect_incidents(1);
  stage.vmm().failures().vm_running(true);
  stage.expect_incidents(2);
  stage.expect_banks(0, 1);
}

// 2 MiB are lost at once. The guest is told of the page that was named; where it
// touches another part of the same loss it is told of that one too.
void play_ao_hugetlb(Stage& stage) {
  constexpr std::uint32_t kOtherPart = kFirstPage + 0x7000;
  stage.vcpu_told_of_broken(0, kFirstPage);
  stage.expect_banks(0, 1);
  stage.vmm().command(0, COMMAND_SCAN_BANKS);  // done once the handler has returned
  stage.expect_done(0, 1);
  stage.guest_touches_broken(0, kOtherPart);
  stage.expect_recovered(0);
  stage.expect_incidents(2);
}

// The bank that QEMU uses holds a record that the guest has not cleared: there, a
// second one would be marked as the loss of an error.
void play_bank_in_use(Stage& stage) {
  constexpr std::uint64_t kCorrected = 0x8000000000000000;
  constexpr std::uint32_t kMsrMc9Status = kMsrMc0Ctl + 4 * 9 + 1;
  stage.on_thread(0, [&] { write_msr(stage.vmm().vcpu(0).fd(), kMsrMc9Status, kCorrected); });
  play_ar_guest_ram(stage);
}

// The machine check takes the exception's place; the guest, which has no handler for
// those, would be lost otherwise. No page breaks at such a moment by plan: the signal
// is raised, also where pages break for real.
void play_exception_injected(Stage& stage) {
  stage.break_page(kFirstPage);
  meet_with_exception(stage, VECTOR_GENERAL_PROTECTION, kFirstPage);
  stage.expect_recovered(0, 1);
  stage.break_page(kSecondPage);
  meet_with_exception(stage, VECTOR_PAGE_FAULT, kSecondPage);
  stage.expect_recovered(0, 2);
  stage.expect_out_of_handler(0);
  stage.expect_incidents(2);
}

// How KVM says it of memory that has no host address (guest_memfd): no signal, but an
// exit. No such memory here: the exit is made up.
void play_memory_fault_exit(Stage& stage) {
  stage.break_page(kFirstPage);
  stage.on_thread(0, [&] {
    stage.vmm().vcpu(0).hooks().instead_of_run = [run = stage.vmm().vcpu(0).run()] {
      const MemoryFault fault{0, GUEST_TEST_REGION + kFirstPage, 4096};
      run->exit_reason = kExitMemoryFault;
      std::memcpy(&run->io, &fault, sizeof(fault));  // the exits' details are a union
      return EHWPOISON;
    };
  });
  stage.expect_recovered(0);
  stage.expect_incidents(1);
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

// A page breaks that nobody has touched, and the guest takes a deferred record of it: no
// #MC; it finds the record when the interrupt comes, or, as here, when it looks.
void play_ucna(Stage& stage) {
  constexpr std::uint32_t kMsrMc0Ctl2 = 0x280;
  constexpr std::uint64_t kCmciOn = 1 << 30;
  stage.vmm().command(0, COMMAND_WRMSR, kMsrMc0Ctl2 + 9, kCmciOn);
  stage.expect_done(0, 1);
  stage.vcpu_told_of_broken(0, kFirstPage);
  stage.expect_incidents(1);
  stage.vmm().command(0, COMMAND_SCAN_BANKS);
  stage.expect_banks(0, 1);
}

}  // namespace memfail::reference
