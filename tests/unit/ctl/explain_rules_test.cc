// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/explain_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace memfail::ctl {
namespace {

using decision::OptionalDelivery;
using decision::Policy;
using ::testing::HasSubstr;
using wire::Verdict;

TEST(ExplainRules, KnowsWhatIsBuiltIn) {
  EXPECT_EQ(rules_of({})->rules.policy, Policy::kRecommended);
  EXPECT_EQ(rules_of({})->name, "recommended");
  EXPECT_EQ(rules_of({.policy = "qemu"})->rules.policy, Policy::kQemu);
  EXPECT_THAT(rules_of({.policy = "/nowhere"}).error(), HasSubstr("/nowhere"));
}

TEST(ExplainRules, TakesSingleRulesOverWhatIsBuiltIn) {
  const auto chosen = rules_of(
      {.rules = {"untold=pause", "broadcast=false", "repeat_limit=4", "optional=remember"}});
  ASSERT_TRUE(chosen) << chosen.error();
  EXPECT_EQ(chosen->rules.untold, Verdict::pause);
  EXPECT_EQ(chosen->rules.no_progress, Verdict::reset);
  EXPECT_FALSE(chosen->rules.broadcast);
  EXPECT_EQ(chosen->rules.repeat_limit, 4U);
  EXPECT_EQ(chosen->rules.optional, OptionalDelivery::kRemember);
  EXPECT_EQ(chosen->name,
            "recommended with untold=pause, broadcast=false, repeat_limit=4, optional=remember");
}

TEST(ExplainRules, RefusesARuleAsAPolicyFileWould) {
  const auto error = [](const char* rule) { return rules_of({.rules = {rule}}).error(); };
  EXPECT_EQ(error("untold=stop"),
            "--rule: untold: \"stop\": must be \"reset\", \"pause\" or \"abort\"");
  EXPECT_EQ(error("repeat_limit=1"), "--rule: repeat_limit: 1: must be 2 to 1000");
  EXPECT_EQ(error("untold"), "--rule: \"untold\": must be MEMBER=VALUE, as untold=pause");
  EXPECT_THAT(error("repeat-limit=4"), HasSubstr("\"repeat_limit\" is meant?"));
  EXPECT_THAT(error("name=x"), HasSubstr("--rule: "));
  EXPECT_THAT(error("=x"), HasSubstr("--rule: "));
  EXPECT_THAT(error("untold=\xff"), HasSubstr("--rule: "));
  EXPECT_EQ(rules_of({.policy = "qemu", .rules = {"untold=pause"}}).error(),
            "--rule: goes with the built-in policy recommended alone, not with qemu");
}

TEST(ExplainRules, GivesTheRulesOfTheVmThatAFileNames) {
  std::string directory = std::filesystem::temp_directory_path() / "memfailctl-test-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/p.json";
  std::ofstream(path) << R"({"version": 1, "vms": [{"name": "db*", "untold": "pause"}]})";
  const auto named = rules_of({.policy = path, .vm = "db1"});
  const auto other = rules_of({.policy = path, .vm = "web"});
  std::filesystem::remove_all(directory);
  ASSERT_TRUE(named && other);
  EXPECT_EQ(named->rules.untold, Verdict::pause);
  EXPECT_EQ(named->name, path + ", vms[0] \"db*\"");
  EXPECT_EQ(other->rules.untold, Verdict::reset);
  EXPECT_EQ(other->name, path + ", default");
}

}  // namespace
}  // namespace memfail::ctl
