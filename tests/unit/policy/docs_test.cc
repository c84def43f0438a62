// SPDX-License-Identifier: BSD-3-Clause
//
// docs/policy.md: its example is a policy, and it says of it what memfailctl says.
#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "sets.h"
#include "sidecar/ctl/policy_check.h"

namespace memfail::policy {
namespace {

using ::testing::HasSubstr;

std::string manual() {
  std::ifstream in(MEMFAIL_DOCS "/policy.md");
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// The fenced block that begins with `begin`, without its fences.
std::string block(const std::string& text, const std::string& begin) {
  const std::size_t at = text.find("```" + begin);
  if (at == std::string::npos) return "";
  const std::size_t first = text.find('\n', at) + 1;
  return text.substr(first, text.find("```", first) - first);
}

TEST(Manual, ItsExampleIsAPolicy) {
  const PolicySet set = testing::set_of(block(manual(), "jsonc\n"));
  EXPECT_EQ(set.vms().size(), 4U);
  EXPECT_EQ(set.rules_for("db-primary").repeat_limit, 4U);
  EXPECT_EQ(testing::numbers(set.rules_for("db-test-1")), testing::numbers(set.default_rules()));
  EXPECT_EQ(set.rules_for("legacy-1").policy, decision::Policy::kQemu);
  EXPECT_FALSE(set.rules_for("guest-01").broadcast);
  EXPECT_EQ(set.rules_for("other").untold, wire::Verdict::pause);
}

TEST(Manual, ShowsTheExamplesSummary) {
  const PolicySet set = testing::set_of(block(manual(), "jsonc\n"));
  EXPECT_EQ(block(manual(), "\npolicy.json: good"), ctl::policy_summary("policy.json", set, false));
}

TEST(Manual, HasARowForEachMemberWithItsRangeAndDefault) {
  for (std::size_t i = 0; i < kMembers; ++i) {
    const Member member = member_at(i);
    const MemberInfo& one = info(member);
    const std::size_t at = manual().find("\n| `" + std::string(one.name) + "` | ");
    ASSERT_NE(at, std::string::npos) << one.name;
    const std::string row = manual().substr(at + 1, manual().find('\n', at + 1) - at - 1);
    std::string value = spelled(member, number_of({}, member));
    if (one.kind == Kind::kWord) value = '"' + value + '"';
    if (one.kind != Kind::kNumber) value = '`' + value + '`';
    EXPECT_THAT(row, HasSubstr(" | " + value + " | "));
    if (one.kind == Kind::kNumber) {
      EXPECT_THAT(row, HasSubstr("| " + std::to_string(one.range.least) + " to " +
                                 std::to_string(one.range.most) + " |"));
    }
    for (const auto word : one.words) EXPECT_THAT(row, HasSubstr(std::string(word)));
  }
}

}  // namespace
}  // namespace memfail::policy
