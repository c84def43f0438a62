// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/expectation.h"

namespace memfail::scenarios {
namespace {

// recipient, action, action required, recursive, verdict, reason, delivered, bank
constexpr ExpectedEvent kToldAr{"guest",  "inject",       true,        false,
                                "inject", "guest-memory", "delivered", 9};
constexpr ExpectedEvent kToldAo{"guest",  "inject",       false,       false,
                                "inject", "guest-memory", "delivered", 9};
constexpr ExpectedEvent kBusyAo{"guest",  "ignore",          false, true,
                                "ignore", "mce-in-progress", "none"};
constexpr ExpectedEvent kBusyAr{"guest", "reset", true, true, "reset", "previous-mce-in-progress",
                                "none"};
constexpr ExpectedEvent kNotEnabled{"guest", "reset",           true,  false,
                                    "reset", "mce-not-enabled", "none"};
// vCPU 0 was told; the broadcast met a vCPU that resets the VM.
constexpr ExpectedEvent kSiblingNotEnabled{"guest", "reset",           true,        false,
                                           "reset", "mce-not-enabled", "delivered", 9};
constexpr ExpectedEvent kMcgCtlOff{"guest", "ignore", true, false, "ignore", "mcg-ctl-off", "none"};
constexpr ExpectedEvent kBankCtlOff{"guest",  "ignore",       true,  false,
                                    "ignore", "bank-ctl-off", "none"};
constexpr ExpectedEvent kEmulated{"guest", "reset",           true,  false,
                                  "reset", "emulated-access", "none"};
constexpr ExpectedEvent kOwnAr{"hypervisor", "fatal", true, false, "abort", "vmm-memory", "none"};
constexpr ExpectedEvent kOwnAo{"hypervisor", "ignore",     false, false,
                               "ignore",     "vmm-memory", "none"};
constexpr ExpectedEvent kOutside{"hypervisor", "fatal",         true,  false,
                                 "abort",      "outside-guest", "none"};
constexpr ExpectedEvent kNowhere{"hypervisor", "fatal", true, false, "abort", "no-address", "none"};

const std::vector<Expectation>& table() {
  static const std::vector<Expectation> rows{
      {"ar-guest-ram", "running", {kToldAr}},
      {"ao-guest-ram", "running", {kToldAo}},
      {"ao-and-ar-together", "running", {kToldAr, kBusyAo}},
      {"ar-guest-ram-amd", "running", {kToldAr}},
      {"ao-guest-ram-amd", "running", {kToldAo}},
      {.scenario = "ar-hugetlb",
       .vm = "running",
       .events = {kToldAr},
       .may_miss = MayMiss::kWithoutHugePages},
      {.scenario = "broadcast-two-vcpus", .vm = "running", .events = {kToldAr}, .broadcast = true},
      {"ar-same-page-two-vcpus", "running", {kToldAr, kToldAr}},

      {"ar-vmm-memory", "aborted", {kOwnAr}},
      {"ao-vmm-memory", "running", {kOwnAo}},
      {"ar-outside-run", "aborted", {kOutside}},
      {"si-kernel", "aborted", {kNowhere}},

      {"cr4-mce-clear", "reset", {kNotEnabled}},
      {"mcip-set", "reset", {kToldAr, kBusyAr}},
      {"ar-while-sibling-queued", "reset", {kToldAr, kBusyAr}},
      {"ap-not-started", "reset", {kSiblingNotEnabled}},
      {.scenario = "mcg-ctl-off", .vm = "running", .events = {kMcgCtlOff}, .repeats = true},
      {.scenario = "bank-ctl-off", .vm = "running", .events = {kBankCtlOff}, .repeats = true},
      {.scenario = "emulated-access-mmio",
       .vm = "reset",
       .events = {kEmulated},
       .may_miss = MayMiss::kWithoutRealPoison},

      {.scenario = "sidecar-absent", .vm = "running", .events = {}, .drive = Drive::kAbsent},
      {.scenario = "sidecar-silent", .vm = "running", .events = {kToldAr}, .drive = Drive::kSilent},
      {.scenario = "sidecar-killed", .vm = "running", .events = {kToldAr}, .drive = Drive::kKilled},

      {.scenario = "lmce", .vm = "running", .events = {kToldAr}, .may_miss = MayMiss::kAnywhere},
      {.scenario = "cmci", .vm = "running", .events = {kToldAo}, .may_miss = MayMiss::kAnywhere},
  };
  return rows;
}

}  // namespace

std::span<const Expectation> expectations() { return table(); }

}  // namespace memfail::scenarios
