// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/expectation.h"

namespace memfail::scenarios {
namespace {

// recipient, action, action required, recursive, verdict, reason, delivered, bank
constexpr ExpectedEvent kToldAr{"guest",  "inject",       true,        false,
                                "inject", "guest-memory", "delivered", 9};
constexpr ExpectedEvent kToldAo{"guest",  "inject",       false,       false,
                                "inject", "guest-memory", "delivered", 9};
constexpr ExpectedEvent kToldInBank8{"guest",  "inject",       true,        false,
                                     "inject", "guest-memory", "delivered", 8};
constexpr ExpectedEvent kBusyAo{"guest",  "ignore",          false, true,
                                "ignore", "mce-in-progress", "none"};
constexpr ExpectedEvent kPausedAo{"guest",          "ignore", false, false,    "ignore",
                                  "vm-not-running", "none",   {},    "builtin"};
constexpr ExpectedEvent kMcgCtlOffAo{"guest",  "ignore",      false, false,
                                     "ignore", "mcg-ctl-off", "none"};
constexpr ExpectedEvent kQueuedAo{"guest", "ignore", false, true, "ignore", "mce-pending", "none"};
constexpr ExpectedEvent kQueuedAr{"guest", "ignore", true, true, "retry", "mce-pending", "none"};
constexpr ExpectedEvent kUntouched{"guest", "ignore", false, false, "ignore", "untouched", "none"};
constexpr ExpectedEvent kBusyAr{"guest", "reset", true, true, "reset", "previous-mce-in-progress",
                                "none"};
constexpr ExpectedEvent kBusyArLeftAlone{"guest",  "ignore",          true,  true,
                                         "ignore", "mce-in-progress", "none"};
constexpr ExpectedEvent kNoSoftwareRecovery{
    "guest", "reset", true, false, "reset", "no-software-recovery", "none"};
constexpr ExpectedEvent kNoSoftwareRecoveryQemu{
    "hypervisor", "fatal", true, false, "abort", "no-software-recovery", "none"};
constexpr ExpectedEvent kNoRecovery{"guest", "reset", true, false, "reset", "no-recovery", "none"};
constexpr ExpectedEvent kBanksFull{"guest", "reset", true, false, "reset", "no-free-bank", "none"};
constexpr ExpectedEvent kDoubleFault{"guest", "reset", true, false, "reset", "double-fault-queued",
                                     "none"};
constexpr ExpectedEvent kNotEnabled{"guest", "reset",           true,  false,
                                    "reset", "mce-not-enabled", "none"};
// vCPU 0 was told; the broadcast met a vCPU that resets the VM.
constexpr ExpectedEvent kSiblingNotEnabled{"guest", "reset",           true,        false,
                                           "reset", "mce-not-enabled", "delivered", 9};
constexpr ExpectedEvent kMcgCtlOff{"guest", "ignore", true, false, "ignore", "mcg-ctl-off", "none"};
constexpr ExpectedEvent kMcgCtlOffReset{"guest", "reset",       true,  false,
                                        "reset", "mcg-ctl-off", "none"};
constexpr ExpectedEvent kBankCtlOff{"guest",  "ignore",       true,  false,
                                    "ignore", "bank-ctl-off", "none"};
constexpr ExpectedEvent kEmulated{"guest", "reset",           true,  false,
                                  "reset", "emulated-access", "none"};
constexpr ExpectedEvent kOwnAr{"hypervisor", "fatal", true, false, "abort", "vmm-memory", "none"};
constexpr ExpectedEvent kOwnAo{"hypervisor", "ignore",     false, false,
                               "ignore",     "vmm-memory", "none"};
constexpr ExpectedEvent kOutside{"hypervisor", "fatal",         true,  false,
                                 "abort",      "outside-guest", "none"};
constexpr ExpectedEvent kGuestsByVmm{"hypervisor",          "fatal", true, false, "abort",
                                     "guest-memory-by-vmm", "none"};
// Of a thread that runs no vCPU; the event says which memory it was.
constexpr ExpectedEvent by_device(ExpectedEvent event) {
  event.region = "test";
  event.thread = "other";
  return event;
}
constexpr ExpectedEvent kPausedByVmm{"hypervisor",          "ignore", true, false, "pause",
                                     "guest-memory-by-vmm", "none"};
constexpr ExpectedEvent kDeferred{"guest",           "inject",       false,       false,
                                  "inject-deferred", "guest-memory", "delivered", 9};
constexpr ExpectedEvent kNowhere{"hypervisor", "fatal", true, false, "abort", "no-address", "none"};
constexpr ExpectedEvent kRepaired{"hypervisor", "ignore", false,  false, "none",    "repaired",
                                  "none",       {},       "none", 1,     "repaired"};
constexpr ExpectedEvent kPoolEmpty{"hypervisor",   "ignore", false, false,  "none",
                                   "not-repaired", "none",   {},    "none", 1,
                                   "pool-empty"};
constexpr ExpectedEvent kNoProgress{"guest", "reset", true, false, "reset", "no-progress", "none"};
constexpr ExpectedEvent kStorm{"hypervisor", "ignore", false, false,  "none",
                               "storm",      "none",   {},    "none", 64};

constexpr ExpectedEvent drilled(ExpectedEvent event) {
  event.drill = true;
  return event;
}
constexpr ExpectedEvent kDrillOver =
    drilled({"hypervisor", "ignore", false, false, "none", "drill-over", "none", {}, "none"});
constexpr ExpectedEvent kInjected{"guest",     "inject", true,
                                  false,       "inject", "operator-request",
                                  "delivered", 9,        "operator-request"};

// More that were told, which have no event each.
constexpr ExpectedEvent more_told(unsigned count) {
  return {"guest", "inject", true, false, "inject", "guest-memory", "delivered", {}, "none", count};
}

// What a storm kept back.
constexpr ExpectedEvent kept_back(unsigned count) {
  return {"hypervisor", "ignore", false, false, "none", "repeats", "none", {}, "none", count};
}

std::vector<ExpectedEvent> times(std::size_t count, const ExpectedEvent& event) {
  return std::vector<ExpectedEvent>(count, event);
}

std::vector<ExpectedEvent> storm_events() {
  std::vector<ExpectedEvent> events = times(63, kToldAo);
  events.insert(events.end(), {kStorm, kept_back(5)});
  return events;
}

// The guest can be told.
std::vector<Expectation> told_rows() {
  return {
      {"ar-guest-ram", "running", {kToldAr}},
      {"ao-guest-ram", "running", {kToldAo}},
      {.scenario = "ao-and-ar-together",
       .vm = "running",
       .events = {kToldAr, kBusyAo},
       .under = Under::kQemu},
      {.scenario = "ao-and-ar-together",
       .vm = "running",
       .events = {kToldAr, kQueuedAo},
       .under = Under::kRecommended},
      {"ar-guest-ram-amd", "running", {kToldAr}},
      {.scenario = "ao-guest-ram-amd", .vm = "running", .events = {kToldAo}, .under = Under::kQemu},
      {.scenario = "ao-guest-ram-amd",
       .vm = "running",
       .events = {kUntouched, kToldAr},
       .under = Under::kRecommended},
      {.scenario = "ar-hugetlb",
       .vm = "running",
       .events = {kToldAr},
       .may_miss = MayMiss::kWithoutHugePages},
      {.scenario = "broadcast-two-vcpus", .vm = "running", .events = {kToldAr}, .broadcast = true},
      {"ar-same-page-two-vcpus", "running", {kToldAr, kToldAr}},
  };
}

// More of it than one guest should have.
std::vector<Expectation> many_rows() {
  return {
      {"two-errors-two-vcpus", "running", {kToldAr, kToldAr}},
      {"sixteen-vcpus-one-page", "running", times(16, kToldAr)},
      {.scenario = "no-progress",
       .vm = "reset",
       .events = {kToldAr, more_told(14), kNoProgress, kRepaired},
       .under = Under::kRecommended},
      {.scenario = "storm",
       .vm = "running",
       .events = storm_events(),
       .under = Under::kRecommended},
      {"memory-fault-exit", "running", {kToldAr}},
  };
}

// The failure hits the VMM itself.
std::vector<Expectation> own_rows() {
  return {
      {"ar-vmm-memory", "aborted", {kOwnAr}},
      {"ao-vmm-memory", "running", {kOwnAo}},
      {.scenario = "ar-outside-run", .vm = "aborted", .events = {kOutside}, .under = Under::kQemu},
      {.scenario = "ar-outside-run",
       .vm = "aborted",
       .events = {kGuestsByVmm},
       .under = Under::kRecommended},
      {.scenario = "ar-by-device",
       .vm = "aborted",
       .events = {by_device(kOutside)},
       .under = Under::kQemu},
      {.scenario = "ar-by-device",
       .vm = "aborted",
       .events = {by_device(kGuestsByVmm)},
       .under = Under::kRecommended},
      {.scenario = "ar-by-device-paused",
       .vm = "running",
       .events = {by_device(kPausedByVmm), kToldAo},
       .under = Under::kRecommended,
       .by_handler = 1},
      {"si-kernel", "aborted", {kNowhere}},
      {.scenario = "adrerr", .vm = "running", .events = {}, .may_come = "backing-store"},
  };
}

// The guest cannot be told now, or never.
std::vector<Expectation> unready_rows() {
  return {
      {"cr4-mce-clear", "reset", {kNotEnabled, kRepaired}},
      {"mcip-set", "reset", {kToldAr, kBusyAr, kRepaired, kRepaired}},
      {.scenario = "ar-while-sibling-queued",
       .vm = "reset",
       .events = {kToldAr, kBusyAr, kRepaired, kRepaired},
       .under = Under::kQemu},
      {.scenario = "ar-while-sibling-queued",
       .vm = "running",
       .events = {kToldAr, kQueuedAr, kToldAr},
       .broadcast = true,
       .under = Under::kRecommended},
      {.scenario = "ap-not-started",
       .vm = "reset",
       .events = {kSiblingNotEnabled, kRepaired},
       .under = Under::kQemu},
      {.scenario = "ap-not-started",
       .vm = "running",
       .events = {kToldAr},
       .under = Under::kRecommended},
      {.scenario = "mcg-ctl-off",
       .vm = "running",
       .events = {kMcgCtlOff},
       .repeats = true,
       .under = Under::kQemu},
      {.scenario = "mcg-ctl-off",
       .vm = "reset",
       .events = {kMcgCtlOffReset, kRepaired},
       .under = Under::kRecommended},
      {.scenario = "bank-ctl-off",
       .vm = "running",
       .events = {kBankCtlOff},
       .repeats = true,
       .under = Under::kQemu},
      {.scenario = "bank-ctl-off",
       .vm = "running",
       .events = {kToldInBank8},
       .under = Under::kRecommended},
  };
}

// The guest's CPUs are not made for it, or are busy with worse.
std::vector<Expectation> unfit_rows() {
  return {
      {.scenario = "mcip-set-amd",
       .vm = "reset",
       .events = {kToldAr, kBusyAr, kRepaired, kRepaired},
       .under = Under::kRecommended},
      {.scenario = "mcip-set-amd",
       .vm = "running",
       .events = {kToldAr, kBusyArLeftAlone},
       .repeats = true,
       .under = Under::kQemu},
      {.scenario = "no-software-recovery",
       .vm = "reset",
       .events = {kNoSoftwareRecovery, kRepaired},
       .under = Under::kRecommended},
      {.scenario = "no-software-recovery",
       .vm = "aborted",
       .events = {kNoSoftwareRecoveryQemu},
       .under = Under::kQemu},
      {.scenario = "no-recovery-amd",
       .vm = "reset",
       .events = {kNoRecovery, kRepaired},
       .under = Under::kRecommended},
      {.scenario = "no-recovery-amd", .vm = "running", .events = {kToldAr}, .under = Under::kQemu},
      {.scenario = "banks-full",
       .vm = "reset",
       .events = {kBanksFull, kRepaired},
       .under = Under::kRecommended},
      {.scenario = "double-fault-queued",
       .vm = "reset",
       .events = {kDoubleFault, kRepaired},
       .under = Under::kRecommended},
  };
}

// It is told later, or otherwise, or has a clean page after its reset.
std::vector<Expectation> later_rows() {
  return {
      {"ao-while-paused", "running", {kPausedAo, kToldAo}},
      {.scenario = "ao-told-later",
       .vm = "running",
       .events = {kMcgCtlOffAo, kToldAo},
       .under = Under::kRecommended},
      {.scenario = "bank-in-use",
       .vm = "running",
       .events = {kToldInBank8},
       .older_record = true,
       .under = Under::kRecommended},
      {.scenario = "ao-hugetlb",
       .vm = "running",
       .events = {kToldAo, kToldAr},
       .may_miss = MayMiss::kWithoutHugePages},
      {.scenario = "emulated-access-mmio",
       .vm = "reset",
       .events = {kEmulated, kRepaired},
       .may_miss = MayMiss::kWithoutRealPoison},
      {"exception-injected", "running", {kToldAr, kToldAr}},
      {"reset-repairs", "reset", {kNotEnabled, kRepaired}},
      {"reset-repairs-memfd", "reset", {kNotEnabled, kRepaired}},
      {.scenario = "reset-repairs-hugetlb",
       .vm = "reset",
       .events = {kNotEnabled, kRepaired},
       .may_miss = MayMiss::kWithoutHugePages},
      {.scenario = "reset-pool-empty",
       .vm = "reset",
       .events = {kNotEnabled, kPoolEmpty},
       .may_miss = MayMiss::kWithoutBoth},
  };
}

// It runs elsewhere afterwards, or was to.
std::vector<Expectation> migrated_rows() {
  return {
      {.scenario = "migration",
       .vm = "running",
       .events = {kToldAr, kPausedAo, kToldAo, kToldAr},
       .may_miss = MayMiss::kAnywhere},
      {"migration-refused", "running", {kPausedAo, kToldAo}},
  };
}

// An operator asks for it.
std::vector<Expectation> ordered_rows() {
  constexpr std::string_view kDrillAr = R"({"command":"drill","gpa":"0x203000","kind":"ar"})";
  constexpr std::string_view kDrillAo = R"({"command":"drill","gpa":"0x203000","kind":"ao"})";
  constexpr std::string_view kInject =
      R"({"command":"inject","cpu":0,"bank":9,"status":"0xbd80000000000134","mcg-status":7,)"
      R"("addr":"0x203000","misc":"0x8c"})";
  constexpr std::string_view kBroadcast =
      R"({"command":"inject","cpu":0,"bank":9,"status":"0xbd80000000000134","mcg-status":7,)"
      R"("addr":"0x203000","misc":"0x8c","broadcast":true})";
  return {
      {.scenario = "drill-ar",
       .vm = "running",
       .events = {drilled(kToldAr)},
       .drive = Drive::kOrdered,
       .order = kDrillAr},
      {.scenario = "drill-ao",
       .vm = "running",
       .events = {drilled(kToldAo)},
       .drive = Drive::kOrdered,
       .order = kDrillAo},
      {.scenario = "drill-reset",
       .vm = "reset",
       .events = {drilled(kNotEnabled), kDrillOver},
       .drive = Drive::kOrdered,
       .order = kDrillAr},
      {.scenario = "inject",
       .vm = "running",
       .events = {kInjected},
       .drive = Drive::kOrdered,
       .order = kInject},
      {.scenario = "inject-broadcast",
       .vm = "running",
       .events = {kInjected},
       .broadcast = true,
       .drive = Drive::kOrdered,
       .order = kBroadcast},
  };
}

// Something is done to the sidecar, or the host has to offer something.
std::vector<Expectation> driven_rows() {
  return {
      {.scenario = "sidecar-absent", .vm = "running", .events = {}, .drive = Drive::kAbsent},
      {.scenario = "sidecar-silent", .vm = "running", .events = {kToldAr}, .drive = Drive::kSilent},
      {.scenario = "sidecar-killed", .vm = "running", .events = {kToldAr}, .drive = Drive::kKilled},
      {.scenario = "lmce", .vm = "running", .events = {kToldAr}, .may_miss = MayMiss::kAnywhere},
      {.scenario = "cmci", .vm = "running", .events = {kToldAo}, .may_miss = MayMiss::kAnywhere},
      {.scenario = "ucna",
       .vm = "running",
       .events = {kDeferred},
       .may_miss = MayMiss::kAnywhere,
       .under = Under::kRecommended},
  };
}

const std::vector<Expectation>& table() {
  static const std::vector<Expectation> rows = [] {
    std::vector<Expectation> all;
    for (const auto& part : {told_rows(), many_rows(), own_rows(), unready_rows(), unfit_rows(),
                             later_rows(), migrated_rows(), ordered_rows(), driven_rows()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }();
  return rows;
}

}  // namespace

std::vector<const Expectation*> expectations(std::string_view policy) {
  const Under other = policy == "qemu" ? Under::kRecommended : Under::kQemu;
  std::vector<const Expectation*> rows;
  for (const Expectation& row : table()) {
    if (row.under != other) rows.push_back(&row);
  }
  return rows;
}

}  // namespace memfail::scenarios
