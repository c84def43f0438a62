// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/check.h"

#include <optional>
#include <utility>

#include "sidecar/policy/binary.h"
#include "sidecar/policy/glob.h"
#include "sidecar/policy/members.h"
#include "sidecar/policy/utf8.h"

namespace memfail::policy {
namespace {

using wire::PolicyName;

// A step takes some nanoseconds. A thousand names that differ in their last
// characters only take a tenth of it; hostile patterns would take seconds.
constexpr std::size_t kMaxSteps = std::size_t{64} * 1024 * 1024;

class Checker {
 public:
  Problems run(const wire::PolicyFile& file) &&;

 private:
  struct Pattern {
    std::size_t vm;
    std::string text;
    Glob glob;
  };

  void add(std::string place, std::string what) {
    if (problems_.size() < kMaxProblems)
      problems_.push_back({std::move(place), std::move(what), {}});
  }
  void check_version(const wire::PolicyFile& file);
  void check_default(const wire::RuleSet& set);
  void check_vm(const wire::RuleSet& set, std::size_t index);
  void check_values(const wire::RuleSet& set, const std::string& place);
  void check_applies(const wire::RuleSet& set, const std::string& place);
  void check_name(const wire::RuleSet& set, std::size_t index);
  void check_reachable(const Pattern& pattern, const std::string& place);

  Problems problems_;
  PolicyName default_policy_ = static_cast<PolicyName>(decision::Rules{}.policy);
  std::vector<Pattern> patterns_;  // of the entries so far
  std::size_t steps_ = 0;          // of comparing them
  bool given_up_ = false;
};

std::string quoted(std::string_view text) { return '"' + shown(text, 40) + '"'; }

void Checker::check_version(const wire::PolicyFile& file) {
  const auto version = file.version();
  if (version == kVersion) return;
  add("version",
      (version ? std::to_string(*version) : "not given") + ": must be " + std::to_string(kVersion));
}

void Checker::check_values(const wire::RuleSet& set, const std::string& place) {
  for (std::size_t i = 0; i < kMembers; ++i) {
    const Member member = member_at(i);
    const auto number = number_given(set, member);
    const auto& [least, most] = info(member).range;
    if (!number || (*number >= least && *number <= most)) continue;
    add(place + '.' + std::string(info(member).name),
        spelled(member, *number) + ": " + expectation(member));
  }
}

// QEMU's way of deciding knows none of the other members: whoever gives one
// together with it expects what will not happen.
void Checker::check_applies(const wire::RuleSet& set, const std::string& place) {
  if (set.policy().value_or(default_policy_) != PolicyName::qemu) return;
  Given given = given_by(set);
  given.reset(static_cast<std::size_t>(Member::kPolicy));
  for (std::size_t i = 0; i < kMembers; ++i) {
    if (!given[i]) continue;
    const Member member = member_at(i);
    add(place + '.' + std::string(info(member).name),
        spelled(member, *number_given(set, member)) + ": does not apply under policy qemu" +
            (set.policy() ? "" : ", which default gives"));
  }
}

void Checker::check_default(const wire::RuleSet& set) {
  if (set.name() != nullptr) {
    add("default.name", quoted(set.name()->string_view()) + ": only vms have a name");
  }
  check_values(set, "default");
  check_applies(set, "default");
  default_policy_ = set.policy().value_or(default_policy_);
}

// The first match decides: what an earlier pattern matches anyway is never reached.
void Checker::check_reachable(const Pattern& pattern, const std::string& place) {
  for (const Pattern& earlier : patterns_) {
    if (steps_ > kMaxSteps) {
      if (std::exchange(given_up_, true)) return;
      return add(place, quoted(pattern.text) + ": too many long patterns with * before it");
    }
    if (!earlier.glob.covers(pattern.glob, steps_)) continue;
    const bool both = pattern.glob.covers(earlier.glob, steps_);
    add(place, quoted(pattern.text) + ": can never decide, " + place_of_vm(earlier.vm) + ' ' +
                   quoted(earlier.text) +
                   (both ? " matches the same names" : " matches all its names") + " before it");
    return;
  }
}

void Checker::check_name(const wire::RuleSet& set, std::size_t index) {
  const std::string place = place_of_vm(index) + ".name";
  if (set.name() == nullptr) return add(place, "not given: must be a pattern for the VM's name");
  const std::string_view name = set.name()->string_view();
  auto glob = Glob::parse(name);
  if (!glob) return add(place, quoted(name) + ": " + glob.error());
  Pattern pattern{index, std::string(name), std::move(*glob)};
  check_reachable(pattern, place);
  patterns_.push_back(std::move(pattern));
}

void Checker::check_vm(const wire::RuleSet& set, std::size_t index) {
  const std::string place = place_of_vm(index);
  check_name(set, index);
  check_values(set, place);
  check_applies(set, place);
}

Problems Checker::run(const wire::PolicyFile& file) && {
  check_version(file);
  if (file.default_() != nullptr) check_default(*file.default_());
  const std::size_t count = file.vms() == nullptr ? 0 : file.vms()->size();
  if (count > kMaxVms) {
    add("vms", std::to_string(count) + " entries: must be at most " + std::to_string(kMaxVms));
    return std::move(problems_);
  }
  for (std::size_t i = 0; i < count && problems_.size() < kMaxProblems; ++i) {
    check_vm(*file.vms()->Get(static_cast<flatbuffers::uoffset_t>(i)), i);
  }
  return std::move(problems_);
}

}  // namespace

std::string place_of_vm(std::size_t index) { return "vms[" + std::to_string(index) + "]"; }

Problems check(const wire::PolicyFile& file) { return Checker().run(file); }

}  // namespace memfail::policy
