// SPDX-License-Identifier: BSD-3-Clause
//
// What an operator may adjust of a policy, for one VM. Plain values; the defaults
// are the policy `recommended` as it comes. schema/policy.fbs has the same members
// as a policy file spells them.
#pragma once

#include <cstdint>

#include "schema/incident_layout.h"

namespace memfail::decision {

enum class Policy : std::uint8_t {
  kQemu,         // as QEMU 9.1; none of the rules below applies
  kRecommended,  // answers what QEMU's users suffer from
};

// How a guest hears of an action-optional failure that it can be told of.
enum class OptionalDelivery : std::uint8_t {
  kInject,    // as a machine check
  kDeferred,  // as a UCNA record and a CMCI where the guest enabled it, else kInject
  kRemember,  // not at all, until it touches the page
};

struct Rules {
  Policy policy = Policy::kRecommended;

  // An action-required failure of which the guest cannot be told: reset, pause or
  // abort.
  wire::Verdict untold = wire::Verdict::reset;
  // A thread of the VMM that met guest memory outside the KVM_RUN bracket: abort, or
  // pause where the VMM offers a guarded access.
  wire::Verdict outside = wire::Verdict::abort;
  // A guest that meets the same page again and again: reset, pause or abort.
  wire::Verdict no_progress = wire::Verdict::reset;

  OptionalDelivery optional = OptionalDelivery::kInject;
  bool broadcast = true;  // to the other vCPUs, where the processor would

  std::uint32_t repeat_limit = 16;   // action-required reports of one page
  std::uint32_t repeat_seconds = 10;  // within this time
  std::uint32_t storm_pages = 64;    // distinct pages
  std::uint32_t storm_seconds = 60;  // within this time
};

// Both ends allowed.
struct Range {
  std::uint32_t least, most;
  constexpr bool has(std::uint32_t value) const { return value >= least && value <= most; }
};
inline constexpr Range kRepeatLimits{2, 1000};
inline constexpr Range kRepeatSeconds{1, 3600};
inline constexpr Range kStormPages{2, 100'000};
inline constexpr Range kStormSeconds{1, 3600};

// The verdicts that a rule may name: the guest, or the VMM, does not go on as it was.
constexpr bool ends_it(wire::Verdict verdict) {
  return verdict == wire::Verdict::reset || verdict == wire::Verdict::pause ||
         verdict == wire::Verdict::abort;
}

constexpr bool is_valid(const Rules& rules) {
  return rules.policy <= Policy::kRecommended && ends_it(rules.untold) &&
         (rules.outside == wire::Verdict::abort || rules.outside == wire::Verdict::pause) &&
         ends_it(rules.no_progress) && rules.optional <= OptionalDelivery::kRemember &&
         kRepeatLimits.has(rules.repeat_limit) && kRepeatSeconds.has(rules.repeat_seconds) &&
         kStormPages.has(rules.storm_pages) && kStormSeconds.has(rules.storm_seconds);
}

}  // namespace memfail::decision
