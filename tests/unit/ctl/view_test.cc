// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/view.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace memfail::ctl {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(View, AlignsColumns) {
  EXPECT_EQ(table({{"A", "B"}, {"long", "x"}}, false), "A     B\nlong  x\n");
  EXPECT_EQ(table({{"A", "B"}, {"l\u00f6ng", "x"}}, false), "A     B\nl\u00f6ng  x\n");
}

TEST(View, ShowsSessionsAsATable) {
  const json status = json::parse(R"({"version":"1","policy":"qemu","sandbox":["a","b"],
    "sessions":[{"uuid":"u1","name":"vm1","state":"attached","vcpus":4,"uptime-seconds":90061}]})");
  const std::string text = status_view(status, false);
  EXPECT_THAT(text, HasSubstr("sandbox: a, b"));
  EXPECT_THAT(text, HasSubstr("vm1   attached  4"));
  EXPECT_THAT(text, HasSubstr("1d 01:01:01"));
}

TEST(View, KeepsControlCharactersOffTheTerminal) {
  const json status = {{"sessions", {{{"name", "x\x1b[2Jy"}}}}};
  EXPECT_THAT(status_view(status, false), Not(HasSubstr("\x1b")));
}

TEST(View, ShowsWhatItDoesNotKnowAsADash) {
  EXPECT_THAT(status_view(json::object(), false), HasSubstr("no VM is attached"));
}

}  // namespace
}  // namespace memfail::ctl
