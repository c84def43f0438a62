// SPDX-License-Identifier: BSD-3-Clause
//
// What a policy is refused for that comes as bytes: no text was ever looked at.
#include "sidecar/policy/check.h"

#include <gmock/gmock.h>

#include "sets.h"

namespace memfail::policy {
namespace {

using testing::Build;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::problems_in;
using Rules = wire::RuleSetBuilder;

TEST(Check, TakesAPolicyThatSaysNothing) { EXPECT_THAT(problems_in(Build{}), ElementsAre()); }

TEST(Check, WantsTheVersionItKnows) {
  EXPECT_THAT(problems_in(Build{.version = std::nullopt}),
              ElementsAre("version: not given: must be 1"));
  EXPECT_THAT(problems_in(Build{.version = 2}), ElementsAre("version: 2: must be 1"));
}

struct Limit {
  const char* member;
  void (Rules::*add)(std::uint32_t);
  std::uint32_t least;
  std::uint32_t most;
};

class Limits : public ::testing::TestWithParam<Limit> {};

TEST_P(Limits, AreIncluded) {
  const auto [member, add, least, most] = GetParam();
  for (const std::uint32_t good : {least, most}) {
    EXPECT_THAT(problems_in(Build{.defaults = [&](Rules& set) { (set.*add)(good); }}),
                ElementsAre());
  }
}

TEST_P(Limits, AreNotPassed) {
  const auto [member, add, least, most] = GetParam();
  for (const std::uint32_t bad : {least - 1, most + 1, 0U, 0xFFFFFFFFU}) {
    const std::string problem = std::string(member) + ": " + std::to_string(bad) + ": must be " +
                                std::to_string(least) + " to " + std::to_string(most);
    EXPECT_THAT(problems_in(Build{.defaults = [&](Rules& set) { (set.*add)(bad); }}),
                ElementsAre("default." + problem));
    EXPECT_THAT(problems_in(Build{.vms = {{"x", [&](Rules& set) { (set.*add)(bad); }}}}),
                ElementsAre("vms[0]." + problem));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Members, Limits,
    ::testing::Values(Limit{"repeat_limit", &Rules::add_repeat_limit, 2, 1000},
                      Limit{"repeat_seconds", &Rules::add_repeat_seconds, 1, 3600},
                      Limit{"storm_pages", &Rules::add_storm_pages, 2, 100000},
                      Limit{"storm_seconds", &Rules::add_storm_seconds, 1, 3600}));

// The verifier does not look at the numbers of enumerations.
TEST(Check, RefusesNumbersThatAreNoWords) {
  const auto refused = [](auto add) { return problems_in(Build{.defaults = add}); };
  EXPECT_THAT(refused([](Rules& set) { set.add_policy(wire::PolicyName{2}); }),
              ElementsAre(R"(default.policy: #2: must be "qemu" or "recommended")"));
  EXPECT_THAT(refused([](Rules& set) { set.add_untold(wire::LastResort{1}); }),
              ElementsAre(R"(default.untold: #1: must be "reset", "pause" or "abort")"));
  EXPECT_THAT(refused([](Rules& set) { set.add_outside(wire::OutsideAction{5}); }),
              ElementsAre(R"(default.outside: #5: must be "pause" or "abort")"));
  EXPECT_THAT(refused([](Rules& set) { set.add_no_progress(wire::LastResort{0}); }),
              ElementsAre(R"(default.no_progress: #0: must be "reset", "pause" or "abort")"));
  EXPECT_THAT(refused([](Rules& set) { set.add_optional(wire::OptionalAction{255}); }),
              ElementsAre(R"(default.optional: #255: must be "inject", "deferred" or "remember")"));
}

TEST(Check, RefusesWhatDoesNotApplyUnderQemu) {
  const auto qemu_and_pause = [](Rules& set) {
    set.add_policy(wire::PolicyName::qemu);
    set.add_untold(wire::LastResort::pause);
    set.add_broadcast(true);
  };
  EXPECT_THAT(problems_in(Build{.defaults = qemu_and_pause}),
              ElementsAre("default.untold: pause: does not apply under policy qemu",
                          "default.broadcast: true: does not apply under policy qemu"));
  EXPECT_THAT(problems_in(Build{.vms = {{"a", qemu_and_pause}}}),
              ElementsAre("vms[0].untold: pause: does not apply under policy qemu",
                          "vms[0].broadcast: true: does not apply under policy qemu"));
}

TEST(Check, RefusesWhatDoesNotApplyUnderTheDefaultsQemu) {
  const Build build{.defaults = [](Rules& set) { set.add_policy(wire::PolicyName::qemu); },
                    .vms = {{"a", [](Rules& set) { set.add_storm_pages(9); }}}};
  EXPECT_THAT(
      problems_in(build),
      ElementsAre("vms[0].storm_pages: 9: does not apply under policy qemu, which default gives"));
}

TEST(Check, LetsAVmLeaveTheDefaultsQemu) {
  const Build build{.defaults = [](Rules& set) { set.add_policy(wire::PolicyName::qemu); },
                    .vms = {{"a", [](Rules& set) {
                               set.add_policy(wire::PolicyName::recommended);
                               set.add_storm_pages(9);
                             }}}};
  EXPECT_THAT(problems_in(build), ElementsAre());
}

TEST(Check, LetsAVmTurnToQemuWhateverItInherits) {
  const Build build{.defaults = [](Rules& set) { set.add_storm_pages(9); },
                    .vms = {{"a", [](Rules& set) { set.add_policy(wire::PolicyName::qemu); }}}};
  EXPECT_THAT(problems_in(build), ElementsAre());
}

TEST(Check, WantsAPatternForEachVm) {
  EXPECT_THAT(problems_in(Build{.vms = {{std::nullopt}, {""}, {"[a]"}, {"\xff"}}}),
              ElementsAre("vms[0].name: not given: must be a pattern for the VM's name",
                          "vms[1].name: \"\": must have at least one character",
                          HasSubstr("vms[2].name: \"[a]\": must be without sets"),
                          "vms[3].name: \"?\": must be UTF-8"));
}

TEST(Check, RefusesAVmThatAnEarlierOneHides) {
  EXPECT_THAT(
      problems_in(Build{.vms = {{"db-test"}, {"db-*"}, {"db-1"}, {"web"}, {"db-**"}, {"web"}}}),
      ElementsAre("vms[2].name: \"db-1\": can never decide, vms[1] \"db-*\" matches all its names "
                  "before it",
                  "vms[4].name: \"db-**\": can never decide, vms[1] \"db-*\" matches the same "
                  "names before it",
                  "vms[5].name: \"web\": can never decide, vms[3] \"web\" matches the same names "
                  "before it"));
}

TEST(Check, RefusesWhatFollowsAStar) {
  EXPECT_THAT(problems_in(Build{.vms = {{"a"}, {"*"}, {"b"}}}),
              ElementsAre("vms[2].name: \"b\": can never decide, vms[1] \"*\" matches all its "
                          "names before it"));
}

// Each comparison takes thousands of steps, and there are half a million.
TEST(Check, GivesUpOnHostilePatterns) {
  Build build;
  for (unsigned i = 0; i < kMaxVms; ++i) {
    std::string bits;
    for (unsigned bit = 0; bit < 10; ++bit) bits += (i >> bit & 1) != 0 ? 'c' : 'b';
    build.vms.push_back({"*" + std::string(57, 'a') + bits + std::string(58, 'a')});
  }
  EXPECT_THAT(problems_in(build), ElementsAre(HasSubstr("too many long patterns with *")));
}

TEST(Check, ComparesAsManyNamesAsThereMayBe) {
  Build build;
  for (std::size_t i = 0; i < kMaxVms; ++i) {
    build.vms.push_back({std::string(110, 'x') + std::to_string(10000 + i)});
  }
  EXPECT_THAT(problems_in(build), ElementsAre());
}

}  // namespace
}  // namespace memfail::policy
