// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/show.h"

#include <gmock/gmock.h>

#include "sets.h"
#include "sidecar/policy/digest.h"

namespace memfail::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::set_of;

const PolicySet& example() {
  static const PolicySet set = set_of(R"({"version": 1,
    "default": {"untold": "pause"},
    "vms": [{"name": "old*", "policy": "qemu"}, {"name": "db*", "repeat_limit": 4}]})");
  return set;
}

TEST(Show, SaysWhatEachRuleIsAndWhereItComesFrom) {
  EXPECT_EQ(effective_text(example(), "db1"), "VM \"db1\": vms[1] \"db*\" decides; policy digest " +
                                                  digest_text(example().digest()) +
                                                  "\n"
                                                  "  policy          recommended  built in\n"
                                                  "  untold          pause        default\n"
                                                  "  outside         abort        built in\n"
                                                  "  no_progress     reset        built in\n"
                                                  "  optional        inject       built in\n"
                                                  "  broadcast       true         built in\n"
                                                  "  repeat_limit    4            vms[1]\n"
                                                  "  repeat_seconds  10           built in\n"
                                                  "  storm_pages     64           built in\n"
                                                  "  storm_seconds   60           built in\n");
}

TEST(Show, SaysWhenTheDefaultDecides) {
  EXPECT_THAT(effective_text(example(), "web"),
              HasSubstr("VM \"web\": no entry of vms matches, default decides; "));
}

TEST(Show, ShowsUnderQemuOnlyWhatApplies) {
  const std::string text = effective_text(example(), "old");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_THAT(text, HasSubstr("  policy          qemu         vms[0]\n"));
  EXPECT_EQ(effective_json(example(), "old")["rules"].dump(), R"({"policy":"qemu"})");
}

TEST(Show, KeepsControlCharactersOffTheTerminal) {
  EXPECT_THAT(effective_text(example(), "x\x1b[2J"), HasSubstr("VM \"x?[2J\""));
}

TEST(Show, IsJsonForPrograms) {
  EXPECT_EQ(effective_json(example(), "db1").dump(),
            R"({"vm":"db1","digest":")" + digest_text(example().digest()) +
                R"(","entry":1,"name":"db*","rules":{"policy":"recommended","untold":"pause",)"
                R"("outside":"abort","no_progress":"reset","optional":"inject","broadcast":true,)"
                R"("repeat_limit":4,"repeat_seconds":10,"storm_pages":64,"storm_seconds":60}})");
  EXPECT_TRUE(effective_json(example(), "web")["entry"].is_null());
}

TEST(Show, NamesDifferencesOfWhatApplies) {
  const decision::Rules built_in;
  EXPECT_THAT(differences(example().rules_for("db1"), built_in),
              ElementsAre(Member::kUntold, Member::kRepeatLimit));
  EXPECT_THAT(differences(example().rules_for("old"), example().default_rules()),
              ElementsAre(Member::kPolicy));
}

}  // namespace
}  // namespace memfail::policy
