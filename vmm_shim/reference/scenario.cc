// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenario.h"

#include <algorithm>
#include <array>

#include "vmm_shim/reference/kvm_ioctl.h"
#include "vmm_shim/reference/plays.h"

namespace memfail::reference {
namespace {

constexpr Needs kTwoIntel{.vcpus = 2, .vendor = Vendor::kIntel};

constexpr auto kScenarios = std::to_array<Scenario>({
    {"ar-guest-ram", "the guest touches a broken page", {}, play_ar_guest_ram},
    {"ao-guest-ram", "a page breaks that nobody has touched", {}, play_ao_guest_ram},
    {"ao-and-ar-together", "two errors wait at the same time", {}, play_ao_and_ar_together},
    {"ar-guest-ram-amd",
     "the same in a guest that has AMD CPUs",
     {.vendor = Vendor::kAmd},
     play_ar_guest_ram},
    {"ao-guest-ram-amd",
     "an AMD guest finds it when it looks",
     {.vendor = Vendor::kAmd},
     play_ao_guest_ram},
    {"ar-hugetlb", "a 2 MiB page is lost", {.ram = RamKind::kHugetlb}, play_ar_guest_ram},
    {"broadcast-two-vcpus", "an Intel guest is told on all vCPUs", kTwoIntel, play_broadcast},
    {"ar-same-page-two-vcpus", "two vCPUs meet one page at once", kTwoIntel, play_ar_same_page},

    {"ar-vmm-memory", "the VMM touches a broken page of its own", {}, play_ar_vmm_memory},
    {"ao-vmm-memory", "a page of the VMM's own breaks, untouched", {}, play_ao_vmm_memory},
    {"ar-outside-run", "the VMM's own code touches broken guest RAM", {}, play_ar_outside_run},
    {"si-kernel", "memory broke and the kernel cannot say where", {}, play_si_kernel},

    {"cr4-mce-clear",
     "the guest has not enabled machine checks",
     {.mce_enabled = false},
     play_cr4_mce_clear},
    {"mcip-set", "a second error inside the guest's #MC handler", {}, play_mcip_set},
    {"ar-while-sibling-queued", "an error while another's broadcast is queued", kTwoIntel,
     play_sibling_queued},
    {"ap-not-started",
     "a broadcast with a vCPU that never started",
     {.vcpus = 2, .not_started = 1, .vendor = Vendor::kIntel},
     play_ap_not_started},
    {"mcg-ctl-off", "the guest has switched MCG_CTL off", {}, play_mcg_ctl_off},
    {"bank-ctl-off", "the guest has switched the bank off", {}, play_bank_ctl_off},
    {"emulated-access-mmio",
     "an emulated instruction meets a broken page",
     {.real_poison = true},
     play_emulated_access},

    {"sidecar-absent", "no sidecar: the built-in fallback decides", {}, play_ar_guest_ram},
    {"sidecar-killed", "the sidecar is killed while a vCPU waits for it", {}, play_ar_guest_ram},
    {"sidecar-silent", "the sidecar is there, but does not answer", {}, play_ar_guest_ram},

    {"lmce",
     "the affected vCPU alone is told",
     {.vcpus = 2, .vendor = Vendor::kIntel, .mcg_cap = kMcgLmceP},
     play_lmce},
    {"cmci",
     "corrected-error interrupts are offered",
     {.vendor = Vendor::kIntel, .mcg_cap = kMcgCmciP},
     play_ao_guest_ram},
});

}  // namespace

std::span<const Scenario> scenarios() { return kScenarios; }

const Scenario* find_scenario(std::string_view name) {
  const auto* found = std::ranges::find(kScenarios, name, &Scenario::name);
  return found == kScenarios.end() ? nullptr : found;
}

}  // namespace memfail::reference
