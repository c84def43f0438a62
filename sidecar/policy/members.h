// SPDX-License-Identifier: BSD-3-Clause
//
// The members of a rule set: their names, what each may be, and how Rules and
// schema/policy.fbs hold them. All that reads or shows a policy goes by this table.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "schema/policy_generated.h"
#include "sidecar/decision/rules.h"

namespace memfail::policy {

// In the order in which they are shown.
enum class Member : std::uint8_t {
  kPolicy,
  kUntold,
  kOutside,
  kNoProgress,
  kOptional,
  kBroadcast,
  kRepeatLimit,
  kRepeatSeconds,
  kStormPages,
  kStormSeconds,
};
inline constexpr std::size_t kMembers = 10;

// Which members a rule set gives itself, by Member.
using Given = std::bitset<kMembers>;

enum class Kind : std::uint8_t { kWord, kTruth, kNumber };

struct MemberInfo {
  std::string_view name;
  Kind kind;
  decision::Range range;                    // a word's numbers in the schema; 0 to 1; a number's
  std::span<const std::string_view> words;  // from range.least on; of a number none
};

const MemberInfo& info(Member member);
std::optional<Member> member_of_name(std::string_view name);

inline Member member_at(std::size_t index) { return static_cast<Member>(index); }

// "must be 2 to 1000", "must be "reset", "pause" or "abort"", "must be true or false"
std::string expectation(Member member);

// The number as a policy spells it: "pause", "true", "16". Words out of range: "#9".
std::string spelled(Member member, std::uint32_t number);

// A member's number in Rules, and in a rule set where it is given.
std::uint32_t number_of(const decision::Rules& rules, Member member);
std::optional<std::uint32_t> number_given(const wire::RuleSet& set, Member member);

Given given_by(const wire::RuleSet& set);

// `inherited`, and over it what `set` gives. Its values are in range.
decision::Rules apply(decision::Rules inherited, const wire::RuleSet& set);

// What decides: under policy `qemu` no other member applies, so they are as built in.
decision::Rules effective(const decision::Rules& rules);

}  // namespace memfail::policy
