// SPDX-License-Identifier: BSD-3-Clause
//
// What no input yields, whatever the tables say: an injection with OVER, an injection
// into a guest that cannot take it, an error that is action required and ignored for
// ever. Judged by a model of KVM, not by the rules. `recommended` promises all of it;
// `qemu` what QEMU does, and where it breaks a promise is written down here.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "dice.h"
#include "kvm_model.h"
#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/reason.h"

namespace memfail::decision {
namespace {

using testing::Dice;
using testing::Effect;
using testing::effect_of;
using testing::Snapshot;
using testing::worst_behind;
using wire::Reason;
using wire::Verdict;

constexpr int kRounds = 60'000;
constexpr int kShown = 5;

bool is_required(const Input& input) { return input.severity == Severity::kActionRequired; }

std::string describe(const Input& input, const Snapshot& seen, const Decision& decision) {
  const auto hex = [](std::uint64_t value) {
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(value));
    return std::string(text.data());
  };
  return std::string(name_of(input.guest.vendor)) + " MCG_CAP " +
         hex(input.guest.mcg_cap_configured) + "/" + hex(input.guest.mcg_cap_kvm) + " " +
         std::string(name_of(input.kind)) + " " + std::string(name_of(input.thread)) +
         (is_required(input) ? " AR" : " AO") + " VAL " + hex(seen.bank_val) + " off " +
         hex(seen.bank_ctl_off) + " MCG_STATUS " + hex(seen.mcg_status) + " CR4.MCE " +
         std::to_string(seen.cr4_mce) + " SMM " + std::to_string(seen.in_smm) + " nested " +
         std::to_string(seen.nested) + " queued " + std::to_string(seen.queued_exception) + " mp " +
         std::to_string(seen.mp_state) + " -> " + std::string(name_of(decision.verdict)) + " " +
         std::string(name_of(decision.reason)) + " bank " + std::to_string(decision.record.bank) +
         " status " + hex(decision.record.status);
}

// The promise that is broken; empty: none is.
using Judge = std::string (*)(const Rules&, const Input&, const Snapshot&, const Decision&);

std::map<Verdict, int> expect_kept(std::uint32_t seed, Policy policy, Judge judge) {
  Dice dice(seed);
  std::map<Verdict, int> seen;
  int shown = 0;
  for (int round = 0; round < kRounds && shown < kShown; ++round) {
    Rules rules = dice.any_rules();
    rules.policy = policy;
    Input input = dice.any_input();
    const Snapshot snapshot = dice.any_snapshot();
    input.snapshot = snapshot.line();
    const Decision decision = decide(rules, input);
    ++seen[decision.verdict];
    const std::string broken = judge(rules, input, worst_behind(snapshot), decision);
    if (broken.empty()) continue;
    ++shown;
    ADD_FAILURE() << "round " << round << ": " << broken << ": "
                  << describe(input, snapshot, decision);
  }
  return seen;
}

// ---- what holds under both ------------------------------------------------------------

// A record goes to the page that broke, is one that the shim lets through, and comes
// only where a guest of ours met the page or is to be told of it.
std::string broken_record(const Input& input, const Decision& decision) {
  const bool injects =
      decision.verdict == Verdict::inject || decision.verdict == Verdict::inject_deferred;
  if (!injects) {
    const bool none = decision.record.status == 0 && decision.record.bank == wire::kNoBank;
    return none ? "" : "a record without an injection";
  }
  if (!is_template(decision.record)) return "a record that the shim refuses";
  if ((decision.record.status >> 62 & 1) != 0) return "a record that has OVER itself";
  if (input.where.address != AddressClass::kGuestRam) return "a record of no page of the guest";
  if (decision.record.address != input.where.gpa) return "a record of another page";
  const bool outside = is_required(input) && input.thread != wire::ThreadKind::vcpu_in_run;
  if (outside) return "an injection for an access that was the VMM's own";
  return "";
}

std::string broken_outside(const Input& input, const Decision& decision) {
  if (decision.verdict == Verdict::none) return "no verdict";
  const bool outside = is_required(input) && input.thread != wire::ThreadKind::vcpu_in_run &&
                       input.kind != wire::ReportKind::mmio_exit;
  const bool ends = decision.verdict == Verdict::abort || decision.verdict == Verdict::pause;
  return outside && !ends ? "the VMM's own access is repeated for ever" : "";
}

// ---- recommended ------------------------------------------------------------------------

std::string broken_injection(const Rules& rules, const Input& input, const Snapshot& vcpu,
                             const Decision& decision) {
  const Effect effect = effect_of(input.guest, vcpu, decision.record);
  if (decision.verdict == Verdict::inject_deferred) {
    const bool asked = rules.optional == OptionalDelivery::kDeferred && !is_required(input);
    const bool cmci = (vcpu.bank_cmci_on >> decision.record.bank & 1) != 0;
    if (!asked || !cmci) return "deferred, but nobody asked for it";
    return effect == Effect::kDeferred ? "" : "a deferred record into a guest that loses by it";
  }
  if (effect == Effect::kOver) return "an injection with OVER";
  if (effect != Effect::kException) {
    return "an injection into a guest that cannot take it, effect " +
           std::to_string(static_cast<int>(effect));
  }
  if (is_required(input) && !ends_it(decision.otherwise)) return "a dropped record left alone";
  const bool amd = input.guest.vendor == wire::Vendor::amd;
  return amd && !is_required(input) ? "an AMD guest told of what may wait" : "";
}

std::string broken_by_recommended(const Rules& rules, const Input& input, const Snapshot& vcpu,
                                  const Decision& decision) {
  if (std::string broken = broken_record(input, decision); !broken.empty()) return broken;
  if (std::string broken = broken_outside(input, decision); !broken.empty()) return broken;
  switch (decision.verdict) {
    case Verdict::inject:
    case Verdict::inject_deferred:
      return broken_injection(rules, input, vcpu, decision);
    case Verdict::ignore:
      return is_required(input) ? "an action-required error ignored" : "";
    case Verdict::retry:
      // Only while the next entry is certain to change something.
      if (!is_required(input)) return "what nobody waits for is tried again";
      return vcpu.queued_exception == 18 || vcpu.triple_fault ? "" : "a silent loop";
    default:
      return is_required(input) ? "" : "the guest is stopped for what may wait";
  }
}

class Promises : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(Promises, AreKeptByRecommendedWhateverComes) {
  const auto seen = expect_kept(GetParam(), Policy::kRecommended, broken_by_recommended);
  for (const Verdict verdict : {Verdict::inject, Verdict::inject_deferred, Verdict::retry,
                                Verdict::ignore, Verdict::reset, Verdict::pause, Verdict::abort}) {
    EXPECT_TRUE(seen.contains(verdict)) << "never came to " << name_of(verdict);
  }
}

// ---- qemu -------------------------------------------------------------------------------

// QEMU looks at MCG_CTL, MCi_CTL, CR4.MCE and MCIP, so what it injects is neither
// dropped nor a triple fault. It does not look whether its bank is there or VAL, nor
// whether the vCPU was started, has one queued, or is in SMM.
bool is_qemus(Effect effect, const Input& input, const Snapshot& vcpu) {
  switch (effect) {
    case Effect::kDropped:
    case Effect::kTripleFault:
    case Effect::kForgetsMcip:
    case Effect::kDeferred:
    case Effect::kOverwritten:
      return false;
    case Effect::kOver:
      return (vcpu.bank_val >> kQemuBank & 1) != 0;
    case Effect::kRefused:
      return (input.guest.mcg_cap_kvm & kMcgCapBanks) <= kQemuBank;
    default:
      return true;
  }
}

// The endless faults that users of QEMU know: these, and no others.
bool is_known_loop(const Input& input, Reason reason) {
  const bool amd = input.guest.vendor == wire::Vendor::amd;
  return reason == Reason::mcg_ctl_off || reason == Reason::bank_ctl_off ||
         (reason == Reason::mce_in_progress && amd);
}

std::string broken_by_qemu(const Rules& /*rules*/, const Input& input, const Snapshot& seen,
                           const Decision& decision) {
  Snapshot vcpu = seen;
  vcpu.nested = false;  // QEMU believes CR4, whoever's it is
  if (std::string broken = broken_record(input, decision); !broken.empty()) return broken;
  if (std::string broken = broken_outside(input, decision); !broken.empty()) return broken;
  switch (decision.verdict) {
    case Verdict::inject:
      if (decision.record.bank != kQemuBank) return "not QEMU's bank";
      return is_qemus(effect_of(input.guest, vcpu, decision.record), input, vcpu)
                 ? ""
                 : "an injection into a guest that cannot take it";
    case Verdict::ignore:
      return is_required(input) && !is_known_loop(input, decision.reason)
                 ? "an action-required error ignored where QEMU does not"
                 : "";
    case Verdict::reset:
    case Verdict::abort:
      return "";
    default:
      return "a verdict that QEMU has not";
  }
}

TEST_P(Promises, OfQemuAreWhatQemuDoes) {
  const auto seen = expect_kept(GetParam(), Policy::kQemu, broken_by_qemu);
  for (const Verdict verdict : {Verdict::inject, Verdict::ignore, Verdict::reset, Verdict::abort}) {
    EXPECT_TRUE(seen.contains(verdict)) << "never came to " << name_of(verdict);
  }
}

// ---- the other vCPUs ----------------------------------------------------------------------

std::string broken_for_sibling(wire::SiblingRule rule, const GuestProfile& guest,
                               const Snapshot& vcpu, const Decision& decision) {
  const bool parity = rule == wire::SiblingRule::broadcast_qemu;
  if (decision.verdict == Verdict::reset) {
    return parity && !vcpu.cr4_mce ? "" : "a reset for a bystander's sake";
  }
  if (decision.verdict != Verdict::inject) return "";
  const Effect effect = effect_of(guest, vcpu, decision.record);
  if (effect == Effect::kException) return "";
  if (!parity) {
    return effect == Effect::kOver ? "a broadcast with OVER"
                                   : "a broadcast to a vCPU that cannot take it";
  }
  const bool fatal = effect == Effect::kDropped || effect == Effect::kTripleFault;
  return fatal ? "a broadcast to a vCPU that QEMU would have spared" : "";
}

TEST_P(Promises, AreKeptForTheOtherVcpus) {
  Dice dice(GetParam());
  std::map<std::pair<wire::SiblingRule, Verdict>, int> seen;
  int shown = 0;
  for (int round = 0; round < kRounds && shown < kShown; ++round) {
    Input input;
    input.guest = dice.any_guest();
    Snapshot snapshot = dice.any_snapshot();
    snapshot.nested = snapshot.nested && snapshot.cr4_mce;
    for (const auto rule :
         {wire::SiblingRule::broadcast_ready, wire::SiblingRule::broadcast_qemu}) {
      const Decision decision = decide_sibling(rule, input.guest, snapshot.line());
      ++seen[{rule, decision.verdict}];
      const std::string broken =
          broken_for_sibling(rule, input.guest, worst_behind(snapshot), decision);
      if (broken.empty()) continue;
      ++shown;
      ADD_FAILURE() << "round " << round << ": " << name_of(rule) << ": " << broken << ": "
                    << describe(input, snapshot, decision);
    }
  }
  EXPECT_EQ(seen.size(), 5U) << "inject and ignore under both, reset under QEMU's";
}

INSTANTIATE_TEST_SUITE_P(Seeds, Promises, ::testing::Range(1U, 17U));

}  // namespace
}  // namespace memfail::decision
