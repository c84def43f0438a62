// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/events/request.h"

#include <nlohmann/json.hpp>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace memfail::events {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

json refusal_of(const std::string& line) {
  const auto request = parse_request(line);
  EXPECT_FALSE(request) << line;
  return request ? json() : json::parse(request.error())["memfaild"];
}

std::string error_of(const std::string& line) { return refusal_of(line)["error"]; }

TEST(Request, WithoutMembersFollowsFromNowOn) {
  const auto request = parse_request("{}");
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->follow);
  EXPECT_FALSE(request->since);
  EXPECT_FALSE(request->journal);
}

TEST(Request, TakesAllItsMembers) {
  const auto request =
      parse_request(R"({"since":7,"follow":false,"journal":"j","vm":["db*","web1"],)"
                    R"("action":["reset","fatal"],"reason":"storm"})");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->since, 7U);
  EXPECT_FALSE(request->follow);
  EXPECT_EQ(request->journal, "j");
  EXPECT_EQ(request->filter.patterns(), 2U);
}

TEST(Request, AnUnknownActionIsAnsweredWithThoseThereAre) {
  const json refusal = refusal_of(R"({"action":["reset","reboot"]})");
  EXPECT_EQ(refusal["error"], "\"action\" has no 'reboot'");
  EXPECT_THAT(refusal["accepted"], ElementsAre("ignore", "inject", "fatal", "reset"));
}

TEST(Request, AnUnknownReasonIsAnsweredWithThoseThereAre) {
  const json refusal = refusal_of(R"({"reason":"strom"})");
  EXPECT_EQ(refusal["error"], "\"reason\" has no 'strom'");
  EXPECT_THAT(refusal["accepted"], Contains("storm"));
  EXPECT_THAT(refusal["accepted"], Contains("policy-changed"));
}

TEST(Request, AMisspelledMemberIsAnsweredWithThoseThereAre) {
  const json refusal = refusal_of(R"({"sinse":7})");
  EXPECT_EQ(refusal["error"], "\"sinse\" is no member of a request");
  EXPECT_THAT(refusal["accepted"],
              ElementsAre("since", "follow", "journal", "vm", "action", "reason"));
}

TEST(Request, SaysWhatEachMemberMustBe) {
  EXPECT_THAT(error_of(R"({"since":"7"})"), HasSubstr("\"since\" must be a number from 0"));
  EXPECT_THAT(error_of(R"({"since":-1})"), HasSubstr("\"since\" must be"));
  EXPECT_THAT(error_of(R"({"follow":"yes"})"), HasSubstr("true or false"));
  EXPECT_THAT(error_of(R"({"journal":1})"), HasSubstr("header line"));
  EXPECT_THAT(error_of(R"({"vm":[]})"), HasSubstr("a list of 1 to 16"));
  EXPECT_THAT(error_of(R"({"vm":[1]})"), HasSubstr("a name like"));
  EXPECT_THAT(error_of(R"({"vm":"db[1]"})"), HasSubstr("without sets"));
  EXPECT_THAT(error_of(R"({"action":null})"), HasSubstr("one of these names"));
}

TEST(Request, WhatIsNoObjectIsAnsweredWithAnExample) {
  for (const char* line : {"", "hello", "[1]", "{\"since\":", "null", "\xff"}) {
    EXPECT_THAT(error_of(line), HasSubstr("{\"since\":0,\"follow\":true}")) << line;
  }
}

TEST(Request, RefusesMorePatternsThanAnEventMayCost) {
  json vms = json::array();
  for (std::size_t i = 0; i <= Filter::kMaxVms; ++i) vms.push_back("vm" + std::to_string(i));
  EXPECT_THAT(error_of(json{{"vm", vms}}.dump()), HasSubstr("1 to 16"));
}

TEST(Request, KeepsControlCharactersOfTheReaderOutOfItsAnswer) {
  EXPECT_EQ(error_of("{\"reason\":\"\\u001b[2J\"}"), "\"reason\" has no '?[2J'");
}

}  // namespace
}  // namespace memfail::events
