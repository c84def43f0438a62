// SPDX-License-Identifier: BSD-3-Clause
//
// A policy that has been checked, ready to be asked: which rules does this VM get?
// A value; reading it is safe in any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/policy/glob.h"
#include "sidecar/policy/members.h"
#include "sidecar/policy/problem.h"

namespace memfail::policy {

// One entry of `vms`.
struct VmRules {
  std::string pattern;    // as given
  Glob glob;
  decision::Rules rules;  // effective
  Given given;            // by the entry itself
};

class PolicySet {
 public:
  // Every VM gets what is built in: policy `recommended`.
  PolicySet() : PolicySet(decision::Rules{}) {}

  static PolicySet built_in(decision::Policy policy) { return PolicySet({.policy = policy}); }

  // "qemu", "recommended"
  static std::optional<PolicySet> built_in(std::string_view name);

  // A policy as FlatBuffer, from anybody: copied, verified and checked. Memory and
  // time are bounded by binary.h's limits.
  static std::expected<PolicySet, Problems> from_binary(std::span<const std::byte> bytes);

  // What decides for this VM. Names may be anything; a peer's are at most 127 bytes.
  decision::Rules rules_for(std::string_view vm_name) const;

  // Index in vms() of the entry that decides; none: the default does.
  std::optional<std::size_t> entry_for(std::string_view vm_name) const;

  const decision::Rules& default_rules() const { return default_rules_; }
  const Given& default_given() const { return default_given_; }
  const std::vector<VmRules>& vms() const { return vms_; }

  // See digest.h.
  std::uint64_t digest() const { return digest_; }

 private:
  explicit PolicySet(const decision::Rules& rules);
  explicit PolicySet(const wire::PolicyFile& file);  // checked

  decision::Rules default_rules_;
  Given default_given_;
  std::vector<VmRules> vms_;
  std::uint64_t digest_ = 0;
};

}  // namespace memfail::policy
