// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/members.h"

#include <array>

namespace memfail::policy {
namespace {

using decision::OptionalDelivery;
using decision::Policy;
using decision::Range;
using decision::Rules;
using wire::Verdict;

constexpr std::array<std::string_view, 2> kPolicies{"qemu", "recommended"};
constexpr std::array<std::string_view, 3> kLastResorts{"reset", "pause", "abort"};
constexpr std::array<std::string_view, 2> kOutsideActions{"pause", "abort"};
constexpr std::array<std::string_view, 3> kOptionalActions{"inject", "deferred", "remember"};
constexpr std::array<std::string_view, 2> kTruths{"false", "true"};

template <typename E>
constexpr Range all_of() {
  return {static_cast<std::uint32_t>(E::MIN), static_cast<std::uint32_t>(E::MAX)};
}

constexpr std::array<MemberInfo, kMembers> kInfos{{
    {"policy", Kind::kWord, all_of<wire::PolicyName>(), kPolicies},
    {"untold", Kind::kWord, all_of<wire::LastResort>(), kLastResorts},
    {"outside", Kind::kWord, all_of<wire::OutsideAction>(), kOutsideActions},
    {"no_progress", Kind::kWord, all_of<wire::LastResort>(), kLastResorts},
    {"optional", Kind::kWord, all_of<wire::OptionalAction>(), kOptionalActions},
    {"broadcast", Kind::kTruth, {0, 1}, kTruths},
    {"repeat_limit", Kind::kNumber, decision::kRepeatLimits, {}},
    {"repeat_seconds", Kind::kNumber, decision::kRepeatSeconds, {}},
    {"storm_pages", Kind::kNumber, decision::kStormPages, {}},
    {"storm_seconds", Kind::kNumber, decision::kStormSeconds, {}},
}};

// The schema's numbers are those of Rules: what is given is cast, not translated.
template <typename A, typename B>
constexpr bool same(A a, B b) {
  return static_cast<int>(a) == static_cast<int>(b);
}
static_assert(same(wire::PolicyName::qemu, Policy::kQemu));
static_assert(same(wire::PolicyName::recommended, Policy::kRecommended));
static_assert(same(wire::LastResort::reset, Verdict::reset));
static_assert(same(wire::LastResort::pause, Verdict::pause));
static_assert(same(wire::LastResort::abort, Verdict::abort));
static_assert(same(wire::OutsideAction::pause, Verdict::pause));
static_assert(same(wire::OutsideAction::abort, Verdict::abort));
static_assert(same(wire::OptionalAction::inject, OptionalDelivery::kInject));
static_assert(same(wire::OptionalAction::deferred, OptionalDelivery::kDeferred));
static_assert(same(wire::OptionalAction::remember, OptionalDelivery::kRemember));

template <typename T>
std::optional<std::uint32_t> number(const flatbuffers::Optional<T>& given) {
  if (!given) return std::nullopt;
  return static_cast<std::uint32_t>(*given);
}

template <typename Field, typename T>
void take(Field& field, const flatbuffers::Optional<T>& given) {
  if (given) field = static_cast<Field>(*given);
}

}  // namespace

const MemberInfo& info(Member member) { return kInfos[static_cast<std::size_t>(member)]; }

std::optional<Member> member_of_name(std::string_view name) {
  for (std::size_t i = 0; i < kMembers; ++i) {
    if (kInfos[i].name == name) return member_at(i);
  }
  return std::nullopt;
}

std::string expectation(Member member) {
  const MemberInfo& one = info(member);
  if (one.kind == Kind::kTruth) return "must be true or false";
  if (one.kind == Kind::kNumber) {
    return "must be " + std::to_string(one.range.least) + " to " + std::to_string(one.range.most);
  }
  std::string text = "must be ";
  for (std::size_t i = 0; i < one.words.size(); ++i) {
    if (i > 0) text += i + 1 == one.words.size() ? " or " : ", ";
    text += '"' + std::string(one.words[i]) + '"';
  }
  return text;
}

std::string spelled(Member member, std::uint32_t number) {
  const MemberInfo& one = info(member);
  if (one.words.empty()) return std::to_string(number);
  const bool known = number >= one.range.least && number <= one.range.most;
  return known ? std::string(one.words[number - one.range.least]) : "#" + std::to_string(number);
}

std::uint32_t number_of(const Rules& rules, Member member) {
  switch (member) {
    case Member::kPolicy:
      return static_cast<std::uint32_t>(rules.policy);
    case Member::kUntold:
      return static_cast<std::uint32_t>(rules.untold);
    case Member::kOutside:
      return static_cast<std::uint32_t>(rules.outside);
    case Member::kNoProgress:
      return static_cast<std::uint32_t>(rules.no_progress);
    case Member::kOptional:
      return static_cast<std::uint32_t>(rules.optional);
    case Member::kBroadcast:
      return rules.broadcast ? 1 : 0;
    case Member::kRepeatLimit:
      return rules.repeat_limit;
    case Member::kRepeatSeconds:
      return rules.repeat_seconds;
    case Member::kStormPages:
      return rules.storm_pages;
    case Member::kStormSeconds:
      break;
  }
  return rules.storm_seconds;
}

std::optional<std::uint32_t> number_given(const wire::RuleSet& set, Member member) {
  switch (member) {
    case Member::kPolicy:
      return number(set.policy());
    case Member::kUntold:
      return number(set.untold());
    case Member::kOutside:
      return number(set.outside());
    case Member::kNoProgress:
      return number(set.no_progress());
    case Member::kOptional:
      return number(set.optional());
    case Member::kBroadcast:
      return number(set.broadcast());
    case Member::kRepeatLimit:
      return number(set.repeat_limit());
    case Member::kRepeatSeconds:
      return number(set.repeat_seconds());
    case Member::kStormPages:
      return number(set.storm_pages());
    case Member::kStormSeconds:
      break;
  }
  return number(set.storm_seconds());
}

Given given_by(const wire::RuleSet& set) {
  Given given;
  for (std::size_t i = 0; i < kMembers; ++i) given[i] = number_given(set, member_at(i)).has_value();
  return given;
}

Rules apply(Rules inherited, const wire::RuleSet& set) {
  take(inherited.policy, set.policy());
  take(inherited.untold, set.untold());
  take(inherited.outside, set.outside());
  take(inherited.no_progress, set.no_progress());
  take(inherited.optional, set.optional());
  take(inherited.broadcast, set.broadcast());
  take(inherited.repeat_limit, set.repeat_limit());
  take(inherited.repeat_seconds, set.repeat_seconds());
  take(inherited.storm_pages, set.storm_pages());
  take(inherited.storm_seconds, set.storm_seconds());
  return inherited;
}

Rules effective(const Rules& rules) {
  if (rules.policy != Policy::kQemu) return rules;
  return {.policy = Policy::kQemu};
}

}  // namespace memfail::policy
