// SPDX-License-Identifier: BSD-3-Clause
//
// A guest that meets one broken page for ever, whatever it is told: its vCPUs come to
// it in any order and in any state, its handler may fail to clear what it should. Played
// against the policy `recommended` and somebody's memory of the page.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sidecar/decision/reason.h"
#include "tests/unit/decision/dice.h"
#include "tests/unit/decision/kvm_model.h"

namespace memfail::decision::testing {

// Who remembers how often the page was met: the sidecar's table, or the shim's list.
class PageMemory {
 public:
  virtual ~PageMemory() = default;
  virtual History report(std::int32_t vcpu, std::uint64_t now_ns) = 0;  // not yet counted
  virtual void answered(std::int32_t vcpu, wire::Verdict verdict, std::uint64_t now_ns) = 0;
};

class StubbornGuest {
 public:
  StubbornGuest(std::uint32_t seed, PageMemory& memory)
      : dice_(seed), memory_(memory), vcpus_(1 + dice_.below(5)) {
    rules_ = dice_.any_rules();
    constexpr wire::Vendor kVendors[] = {wire::Vendor::intel, wire::Vendor::amd};
    guest_ = guest(kVendors[dice_.below(2)]);
    guest_.cpuid_80000007_ebx = 3;
    well_behaved_ = dice_.one_in(2);
  }

  const Rules& rules() const { return rules_; }

  // Until the guest's run is ended. What went wrong; empty: nothing.
  std::string run() {
    const std::size_t most = 2 * vcpus_.size() * (rules_.repeat_limit + 1);
    for (std::size_t met = 0; met < most; ++met) {
      const std::string wrong = meet(dice_.below(static_cast<std::uint32_t>(vcpus_.size())));
      if (!wrong.empty() || ended_) return wrong;
    }
    return "met " + std::to_string(most) + " times by " + std::to_string(vcpus_.size()) +
           " vCPUs at a limit of " + std::to_string(rules_.repeat_limit) + ", and on it goes";
  }

 private:
  std::string meet(std::uint32_t vcpu) {
    now_ns_ += 1000;  // far within repeat_seconds
    Snapshot& state = vcpus_[vcpu];
    const auto number = static_cast<std::int32_t>(vcpu);
    const Decision decision = decide(rules_, input(state, memory_.report(number, now_ns_)));
    memory_.answered(number, decision.verdict, now_ns_);
    switch (decision.verdict) {
      case wire::Verdict::inject:
        return take(state, decision);
      case wire::Verdict::retry:
        if (state.queued_exception != 18 && !state.triple_fault) return "tried again for nothing";
        enter(state);
        return "";
      default:
        ended_ = ends_it(decision.verdict);
        return ended_ ? "" : "left alone: " + std::string(name_of(decision.verdict));
    }
  }

  Input input(const Snapshot& state, const History& history) const {
    Input out;
    out.guest = guest_;
    out.where = {AddressClass::kGuestRam, 0x5000, 0x7f0000005000, 4096, 0};
    out.severity = Severity::kActionRequired;
    out.kind = wire::ReportKind::sigbus;
    out.thread = wire::ThreadKind::vcpu_in_run;
    out.snapshot = state.line();
    out.history = history;
    return out;
  }

  std::string take(Snapshot& state, const Decision& decision) {
    if (effect_of(guest_, state, decision.record) != Effect::kException) return "not taken";
    state.bank_val |= 1u << decision.record.bank;
    state.mcg_status = decision.record.mcg_status;
    state.queued_exception = 18;
    // The next error may come first.
    if (!dice_.one_in(4)) enter(state);
    return "";
  }

  // The vCPU runs again, its handler if one is due, and comes back to the page.
  void enter(Snapshot& state) {
    ended_ = state.triple_fault;
    const bool handles = state.queued_exception == 18;
    state.queued_exception = wire::kNoException;
    if (!handles) return;
    if (well_behaved_ || !dice_.one_in(8)) state.mcg_status = 0;
    if (well_behaved_ || !dice_.one_in(3)) state.bank_val = 0;
    if (well_behaved_) return;
    state.cr4_mce = !dice_.one_in(30);
    state.mcg_ctl_ok = !dice_.one_in(30);
    state.in_smm = dice_.one_in(40);
    state.triple_fault = dice_.one_in(60);
  }

  Dice dice_;
  PageMemory& memory_;
  std::vector<Snapshot> vcpus_;
  Rules rules_;
  GuestProfile guest_;
  bool well_behaved_ = false;  // only too fond of the page
  bool ended_ = false;
  std::uint64_t now_ns_ = 1'000'000'000'000;
};

}  // namespace memfail::decision::testing
