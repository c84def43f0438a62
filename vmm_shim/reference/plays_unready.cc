// SPDX-License-Identifier: BSD-3-Clause
#include <functional>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "vmm_shim/reference/guest.h"
#include "vmm_shim/reference/kvm_ioctl.h"
#include "vmm_shim/reference/plays.h"
#include "vmm_shim/reference/vcpu_setup.h"

namespace memfail::reference {
namespace {

constexpr std::uint32_t kBankInUse = 9;

// The guest is told nothing: it meets a really broken page again and again.
void meet_untold(Stage& stage) {
  stage.break_page(kFirstPage);
  stage.guest_touches_broken(0, kFirstPage);
  stage.expect_incidents(stage.real() ? 3 : 1);
}

void switch_off(Stage& stage, std::uint32_t msr) {
  stage.vmm().command(0, COMMAND_WRMSR, msr, 0);
  stage.expect_done(0, 1);
}

// vCPU 0 meets a broken page; its broadcast reaches vCPU 1, whose thread waits
// there until vCPU 0's guest has recovered, and then goes on with `then`. Without
// that wait, what the guest still gets to say before a reset would be chance.
void meet_then_broadcast(Stage& stage, const std::function<void()>& then) {
  const auto recovered = std::make_shared<std::promise<void>>();
  stage.on_thread(1, [&] {
    stage.vmm().vcpu(1).hooks().after_post = [recovered, then] {
      recovered->get_future().wait();
      then();
    };
  });
  stage.break_page(kFirstPage);
  stage.guest_touches_broken(0, kFirstPage);
  stage.expect_recovered(0);
  recovered->set_value();
}

void meet_and_reset(Stage& stage) {
  stage.break_page(kFirstPage);
  stage.guest_touches_broken(0, kFirstPage);
  stage.expect_reset();
}

}  // namespace

void play_cr4_mce_clear(Stage& stage) { meet_and_reset(stage); }

// vCPU 0 is told, then its broadcast finds vCPU 1 as INIT left it.
void play_ap_not_started(Stage& stage) {
  meet_then_broadcast(stage, [] {});
  if (stage.parity()) return stage.expect_reset();
  stage.expect_incidents(1);
}

void play_mcg_ctl_off(Stage& stage) {
  switch_off(stage, kMsrMcgCtl);
  if (stage.parity()) return meet_untold(stage);
  meet_and_reset(stage);
}

// QEMU's bank alone is off; others can be had.
void play_bank_ctl_off(Stage& stage) {
  switch_off(stage, kMsrMc0Ctl + 4 * kBankInUse);
  if (stage.parity()) return meet_untold(stage);
  stage.break_page(kFirstPage);
  stage.guest_touches_broken(0, kFirstPage);
  stage.expect_recovered(0);
  stage.expect_incidents(1);
}

// An Intel guest that can only die of a machine check. QEMU's VMM dies instead.
void play_no_software_recovery(Stage& stage) { meet_and_reset(stage); }

// QEMU does not ask what an AMD guest can do with it.
void play_no_recovery_amd(Stage& stage) {
  if (!stage.parity()) return meet_and_reset(stage);
  stage.break_page(kFirstPage);
  stage.guest_touches_broken(0, kFirstPage);
  stage.expect_recovered(0);
  stage.expect_incidents(1);
}

// Each bank has a record that the guest has not read.
void play_banks_full(Stage& stage) {
  constexpr std::uint64_t kCorrected = 0x8000000000000000;
  stage.on_thread(0, [&] {
    for (std::uint32_t bank = 0; bank < kBanks; ++bank) {
      write_msr(stage.vmm().vcpu(0).fd(), kMsrMc0Ctl + 4 * bank + 1, kCorrected);
    }
  });
  meet_and_reset(stage);
}

// KVM is about to give the guest a double fault, and meets the page on the way: one
// more exception would be a triple fault.
void play_double_fault(Stage& stage) {
  stage.break_page(kFirstPage);
  stage.on_thread(0, [&] {
    queue_exception(stage.vmm().vcpu(0).fd(), VECTOR_DOUBLE_FAULT);
    stage.arm(0, kFirstPage);
  });
  stage.expect_reset();
}

// The guest's handler meets a second broken page before it has cleared MCIP. QEMU takes
// an AMD guest's for an error that may wait, for ever.
void play_mcip_set(Stage& stage) {
  stage.break_page(kSecondPage);
  stage.vmm().touch_in_handler(0, kSecondPage);
  if (!stage.real()) {
    stage.on_thread(
        0, [&] { stage.vmm().vcpu(0).hooks().in_handler = [&] { stage.arm(0, kSecondPage); }; });
  }
  const bool amd = stage.vmm().config().cpu.vendor == Vendor::kAmd;
  if (!stage.parity() || !amd) return meet_and_reset(stage);
  stage.break_page(kFirstPage);
  stage.guest_touches_broken(0, kFirstPage);
  stage.expect_incidents(stage.real() ? 4 : 2);
}

// vCPU 1 meets a broken page of its own when the broadcast of vCPU 0's is queued
// on it and its guest has not run since. No page breaks at such a moment by plan:
// the signal is raised, also where pages break for real.
void play_sibling_queued(Stage& stage) {
  stage.break_page(kSecondPage);
  meet_then_broadcast(stage, [&] { stage.arm(1, kSecondPage); });
  if (stage.parity()) return stage.expect_reset();
  // Tried again: first the guest sees the broadcast, then it meets the page anew.
  stage.expect_banks(1, 1);
  stage.vmm().command(1, COMMAND_SCAN_BANKS);  // done once the handler has returned
  stage.expect_done(1, 1);
  stage.vmm().vcpu(1).post([&] { stage.arm(1, kSecondPage); });
  stage.expect_banks(1, 2);
  stage.expect_incidents(3);
}

// The guest cannot be told when the page breaks, and is told when it can.
void play_ao_told_later(Stage& stage) {
  switch_off(stage, kMsrMcgCtl);
  stage.vcpu_told_of_broken(0, kFirstPage);
  stage.expect_incidents(1);
  stage.vmm().command(0, COMMAND_WRMSR, kMsrMcgCtl, ~std::uint64_t{0});
  stage.expect_done(0, 2);
  stage.vmm().failures().vm_running(true);
  stage.expect_incidents(2);
  stage.expect_banks(0, 1);
}

// The guest cannot be told, and after the reset it has a clean page in that place.
void play_reset_repairs(Stage& stage) {
  constexpr std::uint32_t kBefore = 0x5a5a5a5a;
  stage.fill_page(kFirstPage, kBefore);
  stage.expect_load(0, kFirstPage, kBefore);
  meet_and_reset(stage);
  stage.expect_load(0, kFirstPage, 0);
}

// The kernel has no other huge page to give: the broken one stays where it is.
void play_reset_pool_empty(Stage& stage) {
  constexpr std::size_t kMost = 64;
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  std::vector<Memory> rest;
  while (rest.size() < kMost) {
    auto page = Memory::make(RamKind::kHugetlb, kHugePage);
    if (!page) break;
    rest.push_back(std::move(*page));
  }
  stage.break_page(kFirstPage);
  stage.guest_touches_broken(0, kFirstPage);
  stage.expect("the VM's reset", [&] {
    return stage.vmm().state() == VmState::kReset && stage.vmm().view().counts(0).ready > 1;
  });
}

// KVM emulates the instruction; what comes is no signal but an exit that looks
// like a device's.
void play_emulated_access(Stage& stage) {
  stage.break_page(kFirstPage);
  stage.vmm().command(0, COMMAND_OUTSB, kFirstPage);
  stage.expect_reset();
}

}  // namespace memfail::reference
