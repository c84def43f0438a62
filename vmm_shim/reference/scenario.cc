// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenario.h"

#include <algorithm>
#include <array>

#include "vmm_shim/reference/kvm_ioctl.h"
#include "vmm_shim/reference/plays.h"

namespace memfail::reference {
namespace {

constexpr Needs kTwoIntel{.vcpus = 2, .vendor = Vendor::kIntel};
constexpr unsigned kLongDeadline = 500;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

constexpr auto kScenarios = std::to_array<Scenario>({
    {"ar-guest-ram", "the guest touches a broken page", {}, play_ar_guest_ram},
    {"ao-guest-ram", "a page breaks that nobody has touched", {}, play_ao_guest_ram},
    {"ao-and-ar-together", "two errors wait at the same time", {}, play_ao_and_ar_together},
    {"ar-guest-ram-amd",
     "the same in a guest that has AMD CPUs",
     {.vendor = Vendor::kAmd},
     play_ar_guest_ram},
    {"ao-guest-ram-amd",
     "an AMD guest is told when it touches the page",
     {.vendor = Vendor::kAmd},
     play_ao_guest_ram_amd},
    {"ar-hugetlb", "a 2 MiB page is lost", {.ram = RamKind::kHugetlb}, play_ar_guest_ram},
    {"broadcast-two-vcpus", "an Intel guest is told on all vCPUs", kTwoIntel, play_broadcast},
    {"ar-same-page-two-vcpus",
     "two vCPUs meet one page at once",
     {.vcpus = 2, .vendor = Vendor::kIntel, .deadline_ms = kLongDeadline},
     play_ar_same_page},

    {"two-errors-two-vcpus",
     "two vCPUs meet two pages at once",
     {.vcpus = 2, .vendor = Vendor::kIntel, .deadline_ms = kLongDeadline},
     play_two_errors},
    {"sixteen-vcpus-one-page",
     "sixteen vCPUs meet one page at once",
     {.vcpus = 16, .vendor = Vendor::kIntel, .deadline_ms = kLongDeadline},
     play_one_page_many_vcpus},
    {"no-progress", "the guest goes back to the same page for ever", {}, play_no_progress},
    {"storm", "page after page breaks", {.ram = RamKind::kAnonymous}, play_storm},
    {"memory-fault-exit", "KVM says it by an exit, without a signal", {}, play_memory_fault_exit},

    {"ar-vmm-memory", "the VMM touches a broken page of its own", {}, play_ar_vmm_memory},
    {"ao-vmm-memory", "a page of the VMM's own breaks, untouched", {}, play_ao_vmm_memory},
    {"ar-outside-run", "the VMM's own code touches broken guest RAM", {}, play_ar_outside_run},
    {"ar-by-device", "a device of the VMM touches broken guest RAM", {}, play_ar_by_device},
    {"ar-by-device-paused",
     "the same where the VM can be paused instead, and is told when it goes on",
     {},
     play_ar_by_device_paused},
    {"si-kernel", "memory broke and the kernel cannot say where", {}, play_si_kernel},
    {"adrerr", "a SIGBUS that is no hardware error", {}, play_adrerr},

    {"cr4-mce-clear",
     "the guest has not enabled machine checks",
     {.mce_enabled = false},
     play_cr4_mce_clear},
    {"mcip-set", "a second error inside the guest's #MC handler", {}, play_mcip_set},
    {"mcip-set-amd",
     "the same in a guest that has AMD CPUs",
     {.vendor = Vendor::kAmd},
     play_mcip_set},
    {"no-software-recovery",
     "an Intel guest that cannot recover in software",
     {.vendor = Vendor::kIntel, .mcg_cap_off = kMcgSerP},
     play_no_software_recovery},
    {"no-recovery-amd",
     "an AMD guest that cannot recover",
     {.vendor = Vendor::kAmd, .amd_recovery = false},
     play_no_recovery_amd},
    {"banks-full", "each bank holds an older record", {}, play_banks_full},
    {"double-fault-queued",
     "an error while KVM is about to give the guest a double fault",
     {},
     play_double_fault},
    {"ar-while-sibling-queued", "an error while another's broadcast is queued", kTwoIntel,
     play_sibling_queued},
    {"ap-not-started",
     "a broadcast with a vCPU that never started",
     {.vcpus = 2, .not_started = 1, .vendor = Vendor::kIntel},
     play_ap_not_started},
    {"mcg-ctl-off", "the guest has switched MCG_CTL off", {}, play_mcg_ctl_off},
    {"bank-ctl-off", "the guest has switched the bank off", {}, play_bank_ctl_off},
    {"ao-while-paused", "a page breaks while the VM is paused", {}, play_ao_while_paused},
    {"ao-told-later", "the guest is told when it can be", {}, play_ao_told_later},
    {"bank-in-use", "the usual bank holds an older record", {}, play_bank_in_use},
    {"ao-hugetlb",
     "a 2 MiB page breaks that nobody has touched, then the guest does",
     {.ram = RamKind::kHugetlb},
     play_ao_hugetlb},
    {"emulated-access-mmio",
     "an emulated instruction meets a broken page",
     {.real_poison = true},
     play_emulated_access},
    {"exception-injected",
     "an error while KVM is about to give the guest an exception",
     {},
     play_exception_injected},
    {"reset-repairs",
     "after the reset the guest has a clean page",
     {.mce_enabled = false},
     play_reset_repairs},
    {"reset-repairs-memfd",
     "the same where the RAM is a memfd",
     {.mce_enabled = false, .ram = RamKind::kMemfd},
     play_reset_repairs},
    {"reset-repairs-hugetlb",
     "the same where the RAM is of 2 MiB pages",
     {.mce_enabled = false, .ram = RamKind::kHugetlb, .spare_ram = kHugePage},
     play_reset_repairs},
    {"reset-pool-empty",
     "the same where the host has no other 2 MiB page",
     {.mce_enabled = false, .real_poison = true, .ram = RamKind::kHugetlb},
     play_reset_pool_empty},

    {"migration",
     "the broken pages go with the VM to another host",
     {.marks = true},
     play_migration},
    {"migration-refused",
     "a host that cannot have the broken pages does not get the VM",
     {},
     play_migration_refused},

    {"drill-ar", "an operator drills: as if the guest had met the page", {}, play_drill_ar},
    {"drill-ao", "an operator drills: as if a page had broken, untouched", {}, play_drill_ao},
    {"drill-reset",
     "a drill that resets the guest leaves its page as it was",
     {.mce_enabled = false},
     play_drill_reset},
    {"inject", "an operator makes a machine check", {}, play_injected},
    {"inject-broadcast", "the same for all vCPUs", kTwoIntel, play_injected_broadcast},

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
    {"ucna",
     "an untouched page is told by a deferred record",
     {.vendor = Vendor::kIntel, .mcg_cap = kMcgCmciP},
     play_ucna},
});

}  // namespace

std::span<const Scenario> scenarios() { return kScenarios; }

const Scenario* find_scenario(std::string_view name) {
  const auto* found = std::ranges::find(kScenarios, name, &Scenario::name);
  return found == kScenarios.end() ? nullptr : found;
}

}  // namespace memfail::reference
