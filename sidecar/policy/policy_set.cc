// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/policy_set.h"

#include "sidecar/policy/binary.h"
#include "sidecar/policy/check.h"
#include "sidecar/policy/digest.h"
#include "sidecar/policy/utf8.h"

namespace memfail::policy {

PolicySet::PolicySet(const decision::Rules& rules) : default_rules_(effective(rules)) {
  digest_ = fnv1a64(canonical_text(*this));
}

PolicySet::PolicySet(const wire::PolicyFile& file) {
  decision::Rules inherited;
  if (file.default_() != nullptr) {
    inherited = apply(inherited, *file.default_());
    default_given_ = given_by(*file.default_());
  }
  default_rules_ = effective(inherited);
  if (file.vms() != nullptr) {
    for (const wire::RuleSet* set : *file.vms()) {
      const std::string_view pattern = set->name()->string_view();
      vms_.push_back({std::string(pattern), *Glob::parse(pattern),
                      effective(apply(inherited, *set)), given_by(*set)});
    }
  }
  digest_ = fnv1a64(canonical_text(*this));
}

std::optional<PolicySet> PolicySet::built_in(std::string_view name) {
  const MemberInfo& policies = info(Member::kPolicy);
  for (std::size_t i = 0; i < policies.words.size(); ++i) {
    if (policies.words[i] == name) return built_in(static_cast<decision::Policy>(i));
  }
  return std::nullopt;
}

std::expected<PolicySet, Problems> PolicySet::from_binary(std::span<const std::byte> bytes) {
  const auto refused = [](std::string what) {
    return std::unexpected(Problems{{.place = "", .what = std::move(what), .position = {}}});
  };
  if (bytes.size() > kMaxBinary) {
    return refused(std::to_string(bytes.size()) + " bytes: must be at most " +
                   std::to_string(kMaxBinary));
  }
  // A copy: aligned, and nobody changes it between check and use.
  const Binary copy(bytes.begin(), bytes.end());
  const wire::PolicyFile* file = verified(copy);
  if (file == nullptr) {
    return refused("not a policy in binary form, or more than " + std::to_string(kMaxVms) + " vms");
  }
  Problems problems = check(*file);
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return PolicySet(*file);
}

std::optional<std::size_t> PolicySet::entry_for(std::string_view vm_name) const {
  const std::u32string name = decode_all(vm_name);
  for (std::size_t i = 0; i < vms_.size(); ++i) {
    if (vms_[i].glob.matches(name)) return i;
  }
  return std::nullopt;
}

decision::Rules PolicySet::rules_for(std::string_view vm_name) const {
  const auto entry = entry_for(vm_name);
  return entry ? vms_[*entry].rules : default_rules_;
}

}  // namespace memfail::policy
