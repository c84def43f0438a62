// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/policy_set.h"

#include <gmock/gmock.h>

#include <random>

#include "sets.h"
#include "sidecar/policy/digest.h"

namespace memfail::policy {
namespace {

using decision::Policy;
using decision::Rules;
using testing::Build;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::lines_of;
using testing::numbers;
using testing::set_of;
using wire::Verdict;

constexpr const char* kExample = R"({
  "version": 1,
  "default": {"untold": "pause", "repeat_limit": 8},
  "vms": [
    {"name": "db-test"},
    {"name": "db-*", "repeat_limit": 4, "broadcast": false},
    {"name": "old-?", "policy": "qemu"}
  ]})";

TEST(PolicySet, WithoutAFileIsWhatIsBuiltIn) {
  EXPECT_EQ(numbers(PolicySet().rules_for("any")), numbers({}));
  EXPECT_EQ(numbers(PolicySet::built_in(Policy::kQemu).rules_for("any")),
            numbers({.policy = Policy::kQemu}));
  EXPECT_EQ(PolicySet::built_in("qemu")->rules_for("").policy, Policy::kQemu);
  EXPECT_EQ(PolicySet::built_in("recommended")->rules_for("").policy, Policy::kRecommended);
  EXPECT_FALSE(PolicySet::built_in("Qemu"));
  EXPECT_FALSE(PolicySet::built_in(""));
}

TEST(PolicySet, InheritsFromTheDefaultAndWhatIsBuiltIn) {
  const PolicySet set = set_of(kExample);
  const Rules other{.untold = Verdict::pause, .repeat_limit = 8};
  EXPECT_EQ(numbers(set.rules_for("web")), numbers(other));
  EXPECT_EQ(numbers(set.rules_for("db-1")),
            numbers({.untold = Verdict::pause, .broadcast = false, .repeat_limit = 4}));
}

TEST(PolicySet, TheFirstMatchDecidesAlone) {
  const PolicySet set = set_of(kExample);
  EXPECT_EQ(set.entry_for("db-test"), 0U);
  EXPECT_EQ(numbers(set.rules_for("db-test")), numbers(set.default_rules()));
  EXPECT_EQ(set.entry_for("db-test2"), 1U);
  EXPECT_EQ(set.entry_for("web"), std::nullopt);
  EXPECT_EQ(set.entry_for(""), std::nullopt);
}

TEST(PolicySet, UnderQemuNothingElseApplies) {
  EXPECT_EQ(numbers(set_of(kExample).rules_for("old-1")), numbers({.policy = Policy::kQemu}));
}

TEST(PolicySet, TakesAnyNameOfAVm) {
  const PolicySet set = set_of(R"({"version": 1, "vms": [{"name": "?", "untold": "abort"}]})");
  EXPECT_EQ(set.rules_for("\xff").untold, Verdict::abort);
  EXPECT_EQ(set.rules_for(std::string_view("\0", 1)).untold, Verdict::abort);
  EXPECT_EQ(set.rules_for(std::string(100'000, 'x')).untold, Verdict::reset);
}

TEST(PolicySet, KnowsWhatIsGivenWhere) {
  const PolicySet set = set_of(kExample);
  EXPECT_EQ(set.default_given().count(), 2U);
  EXPECT_TRUE(set.default_given()[static_cast<std::size_t>(Member::kUntold)]);
  EXPECT_EQ(set.vms()[0].given.count(), 0U);
  EXPECT_TRUE(set.vms()[1].given[static_cast<std::size_t>(Member::kBroadcast)]);
}

// ---- digest ---------------------------------------------------------------------

TEST(Digest, IsFnv1a) {
  EXPECT_EQ(fnv1a64(""), 0xcbf29ce484222325U);
  EXPECT_EQ(fnv1a64("a"), 0xaf63dc4c8601ec8cU);
  EXPECT_EQ(fnv1a64("foobar"), 0x85944171f73967e8U);
}

TEST(Digest, IsTakenOfTheTextThatTheManualDescribes) {
  const PolicySet set = set_of(R"({"version": 1, "vms": [{"name": "*?", "policy": "qemu"}]})");
  constexpr const char* kRest =
      "untold reset\noutside abort\nno_progress reset\noptional inject\nbroadcast true\n"
      "repeat_limit 16\nrepeat_seconds 10\nstorm_pages 64\nstorm_seconds 60\n";
  EXPECT_EQ(canonical_text(set), std::string("memfail-policy 1\ndefault\npolicy recommended\n") +
                                     kRest + "vm ?*\npolicy qemu\n" + kRest);
  EXPECT_EQ(set.digest(), fnv1a64(canonical_text(set)));
}

TEST(Digest, IsTheSameForTheSameMeaning) {
  const auto digest = set_of(kExample).digest();
  EXPECT_EQ(set_of(R"(/* as above */ {"vms": [
      {"name": "db-test", "repeat_limit": 8, "untold": "pause"},
      {"broadcast": false, "name": "db-***", "repeat_limit": 4, "storm_pages": 64},
      {"policy": "qemu", "name": "old-?"}],
    "default": {"repeat_limit": 8, "policy": "recommended", "untold": "pause"}, "version": 1})")
                .digest(),
            digest);
}

TEST(Digest, OfABuiltInPolicyIsThatOfTheFileThatNamesIt) {
  EXPECT_EQ(set_of(R"({"version": 1, "default": {"policy": "qemu"}})").digest(),
            PolicySet::built_in(Policy::kQemu).digest());
  EXPECT_EQ(set_of(R"({"version": 1})").digest(), PolicySet().digest());
}

TEST(Digest, DiffersWithEachMeaning) {
  const std::vector<std::string> texts{
      R"({"version": 1})",
      R"({"version": 1, "default": {"policy": "qemu"}})",
      R"({"version": 1, "default": {"untold": "pause"}})",
      R"({"version": 1, "default": {"no_progress": "pause"}})",
      R"({"version": 1, "default": {"broadcast": false}})",
      R"({"version": 1, "default": {"repeat_seconds": 60}})",
      R"({"version": 1, "default": {"storm_seconds": 10}})",
      R"({"version": 1, "vms": [{"name": "a", "untold": "pause"}]})",
      R"({"version": 1, "vms": [{"name": "\\*", "untold": "pause"}]})",
      R"({"version": 1, "vms": [{"name": "*", "untold": "pause"}]})",
      R"({"version": 1, "vms": [{"name": "a*", "untold": "pause"}, {"name": "*b"}]})",
      R"({"version": 1, "vms": [{"name": "*b"}, {"name": "a*", "untold": "pause"}]})",
  };
  std::vector<std::uint64_t> digests;
  for (const std::string& text : texts) digests.push_back(set_of(text).digest());
  for (std::size_t i = 0; i < digests.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(digests[i], digests[j]) << texts[i] << texts[j];
  }
}

// ---- bytes from anybody ------------------------------------------------------------

std::vector<std::string> refused(std::span<const std::byte> bytes) {
  const auto set = PolicySet::from_binary(bytes);
  return set ? std::vector<std::string>{} : lines_of(set.error());
}

constexpr const char* kNotAPolicy = "not a policy in binary form, or more than 1024 vms";

TEST(HostileBinary, IsRefusedWhenItIsNone) {
  EXPECT_THAT(refused({}), ElementsAre(kNotAPolicy));
  EXPECT_THAT(refused(Binary(100)), ElementsAre(kNotAPolicy));
  EXPECT_THAT(refused(Binary(kMaxBinary)), ElementsAre(kNotAPolicy));
  EXPECT_THAT(refused(Binary(kMaxBinary + 1)), ElementsAre("262145 bytes: must be at most 262144"));
}

TEST(HostileBinary, IsRefusedWithTheNameOfAnotherSchema) {
  Binary binary = Build{}.binary();
  ASSERT_TRUE(refused(binary).empty());
  binary[7] = std::byte{'1'};  // the file identifier is bytes 4 to 7
  EXPECT_THAT(refused(binary), ElementsAre(kNotAPolicy));
}

TEST(HostileBinary, MayStandAnywhereInMemory) {
  const Binary binary = *compile(kExample);
  for (std::size_t shift = 0; shift < 8; ++shift) {
    Binary moved(shift);
    moved.insert(moved.end(), binary.begin(), binary.end());
    EXPECT_TRUE(refused(std::span(moved).subspan(shift)).empty());
  }
}

TEST(HostileBinary, IsRefusedWhenCutShort) {
  const Binary binary = *compile(kExample);
  for (std::size_t size = 0; size < binary.size(); ++size) {
    const Binary cut(binary.begin(), binary.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(refused(cut).empty()) << size;
  }
}

// One table in few bytes, named very often.
std::vector<std::string> refused_with_vms(std::size_t count) {
  flatbuffers::FlatBufferBuilder builder;
  const auto name = builder.CreateString("a");
  wire::RuleSetBuilder one(builder);
  one.add_name(name);
  const std::vector<flatbuffers::Offset<wire::RuleSet>> same(count, one.Finish());
  const auto vms = builder.CreateVector(same);
  wire::PolicyFileBuilder file(builder);
  file.add_version(1);
  file.add_vms(vms);
  wire::FinishPolicyFileBuffer(builder, file.Finish());
  return refused(
      std::as_bytes(std::span(builder.GetBufferPointer(), std::size_t{builder.GetSize()})));
}

TEST(HostileBinary, CannotClaimMoreVmsThanTheLimit) {
  EXPECT_THAT(refused_with_vms(kMaxVms)[0], HasSubstr("can never decide"));
  EXPECT_THAT(refused_with_vms(kMaxVms + 1),
              ElementsAre("vms: 1025 entries: must be at most 1024"));
  EXPECT_THAT(refused_with_vms(50'000), ElementsAre(kNotAPolicy));
}

TEST(HostileBinary, WithAnyByteChangedIsRefusedOrInRange) {
  const Binary good = *compile(kExample);
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    Binary bytes = good;
    for (auto n = random() % 3; n < 3; ++n) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    const auto set = PolicySet::from_binary(bytes);
    if (!set) continue;
    for (const char* name : {"db-1", "old-x", "web"}) {
      const Rules rules = set->rules_for(name);
      for (std::size_t m = 0; m < kMembers; ++m) {
        const auto& [least, most] = info(member_at(m)).range;
        const std::uint32_t number = number_of(rules, member_at(m));
        ASSERT_TRUE(number >= least && number <= most) << info(member_at(m)).name << number;
      }
    }
  }
}

}  // namespace
}  // namespace memfail::policy
