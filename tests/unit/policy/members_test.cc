// SPDX-License-Identifier: BSD-3-Clause
//
// The table of members, the schema and Rules say the same.
#include "sidecar/policy/members.h"

#include <flatbuffers/idl.h>
#include <gtest/gtest.h>

#include "sets.h"
#include "sidecar/policy/schema_text.h"

namespace memfail::policy {
namespace {

using decision::Policy;
using decision::Rules;
using testing::numbers;

class Schema : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(parser_.Parse(schema_text())) << parser_.error_; }
  const flatbuffers::StructDef& table(const char* name) {
    return *parser_.LookupStruct(std::string("memfail.wire.") + name);
  }

  flatbuffers::Parser parser_;
};

TEST_F(Schema, HasTheMembersOfTheTableInItsOrder) {
  std::vector<std::string> expected{"name"};
  for (std::size_t i = 0; i < kMembers; ++i) expected.emplace_back(info(member_at(i)).name);
  std::vector<std::string> fields;
  for (const auto* field : table("RuleSet").fields.vec) fields.push_back(field->name);
  EXPECT_EQ(fields, expected);
}

TEST_F(Schema, KnowsOfEachMemberWhetherItIsGiven) {
  for (const auto* field : table("RuleSet").fields.vec) {
    EXPECT_TRUE(field->IsOptional()) << field->name;
  }
}

TEST_F(Schema, HasTheWordsOfTheTable) {
  for (const auto* field : table("RuleSet").fields.vec) {
    const auto member = member_of_name(field->name);
    if (!member || info(*member).kind != Kind::kWord) continue;
    std::uint32_t number = info(*member).range.least;
    for (const auto* word : field->value.type.enum_def->Vals()) {
      EXPECT_EQ(word->GetAsUInt64(), number);
      EXPECT_EQ(word->name, spelled(*member, number++));
    }
    EXPECT_EQ(number, info(*member).range.most + 1) << field->name;
  }
}

TEST_F(Schema, HasTheFilesMembers) {
  std::vector<std::string> fields;
  for (const auto* field : table("PolicyFile").fields.vec) fields.push_back(field->name);
  EXPECT_EQ(fields, (std::vector<std::string>{"version", "default", "vms"}));
}

TEST(Members, WhatIsBuiltInIsInRange) {
  for (std::size_t i = 0; i < kMembers; ++i) {
    const Member member = member_at(i);
    const std::uint32_t number = number_of(Rules{}, member);
    EXPECT_GE(number, info(member).range.least) << info(member).name;
    EXPECT_LE(number, info(member).range.most) << info(member).name;
  }
}

TEST(Members, SayWhatTheyMayBe) {
  EXPECT_EQ(expectation(Member::kUntold), R"(must be "reset", "pause" or "abort")");
  EXPECT_EQ(expectation(Member::kOutside), R"(must be "pause" or "abort")");
  EXPECT_EQ(expectation(Member::kBroadcast), "must be true or false");
  EXPECT_EQ(expectation(Member::kStormPages), "must be 2 to 100000");
}

TEST(Members, AreSpelledAsInAFile) {
  EXPECT_EQ(spelled(Member::kUntold, 6), "pause");
  EXPECT_EQ(spelled(Member::kUntold, 4), "#4");
  EXPECT_EQ(spelled(Member::kUntold, 8), "#8");
  EXPECT_EQ(spelled(Member::kBroadcast, 1), "true");
  EXPECT_EQ(spelled(Member::kRepeatLimit, 16), "16");
}

// One member each: what is given arrives at its own place and nowhere else.
TEST(Members, ApplyWhatIsGivenAndInheritTheRest) {
  Rules all;
  all.policy = Policy::kQemu;
  all.untold = wire::Verdict::abort;
  all.outside = wire::Verdict::pause;
  all.no_progress = wire::Verdict::abort;
  all.optional = decision::OptionalDelivery::kRemember;
  all.broadcast = false;
  all.repeat_limit = 3;
  all.repeat_seconds = 4;
  all.storm_pages = 5;
  all.storm_seconds = 6;
  for (std::size_t i = 0; i < kMembers; ++i) {
    flatbuffers::FlatBufferBuilder builder;
    wire::RuleSetBuilder set(builder);
    const auto number = [&](Member member) { return number_of(all, member); };
    switch (member_at(i)) {
      case Member::kPolicy:
        set.add_policy(wire::PolicyName::qemu);
        break;
      case Member::kUntold:
        set.add_untold(wire::LastResort::abort);
        break;
      case Member::kOutside:
        set.add_outside(wire::OutsideAction::pause);
        break;
      case Member::kNoProgress:
        set.add_no_progress(wire::LastResort::abort);
        break;
      case Member::kOptional:
        set.add_optional(wire::OptionalAction::remember);
        break;
      case Member::kBroadcast:
        set.add_broadcast(false);
        break;
      case Member::kRepeatLimit:
        set.add_repeat_limit(number(Member::kRepeatLimit));
        break;
      case Member::kRepeatSeconds:
        set.add_repeat_seconds(number(Member::kRepeatSeconds));
        break;
      case Member::kStormPages:
        set.add_storm_pages(number(Member::kStormPages));
        break;
      case Member::kStormSeconds:
        set.add_storm_seconds(number(Member::kStormSeconds));
        break;
    }
    builder.Finish(set.Finish());
    const auto* given = flatbuffers::GetRoot<wire::RuleSet>(builder.GetBufferPointer());
    EXPECT_EQ(given_by(*given), Given(1ULL << i));
    const Rules applied = apply(Rules{}, *given);
    for (std::size_t j = 0; j < kMembers; ++j) {
      const Member member = member_at(j);
      EXPECT_EQ(number_of(applied, member), number_of(i == j ? all : Rules{}, member))
          << info(member_at(i)).name << " at " << info(member).name;
    }
  }
}

TEST(Members, UnderQemuNoOtherApplies) {
  Rules rules;
  rules.untold = wire::Verdict::abort;
  EXPECT_EQ(numbers(effective(rules)), numbers(rules));
  rules.policy = Policy::kQemu;
  EXPECT_EQ(numbers(effective(rules)), numbers({.policy = Policy::kQemu}));
}

}  // namespace
}  // namespace memfail::policy
