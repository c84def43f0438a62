// SPDX-License-Identifier: BSD-3-Clause
//
// Wrong files, and what a person is told: the place, what is there, what should be.
#include "sidecar/policy/compile.h"

#include <gmock/gmock.h>

#include "sets.h"

namespace memfail::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::problems_in;

struct Wrong {
  const char* name;
  std::string text;
  const char* problem;
};

void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }

class WrongFile : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongFile, IsRefusedWithThePlace) {
  EXPECT_THAT(problems_in(GetParam().text), ElementsAre(GetParam().problem));
}

std::string with_default(const std::string& members) {
  return "{\"version\": 1,\n \"default\": {" + members + "}}";
}

std::string with_vm(const std::string& members) {
  return "{\"version\": 1,\n \"vms\": [{\"name\": \"a\"},\n  {" + members + "}]}";
}

INSTANTIATE_TEST_SUITE_P(
    Bytes, WrongFile,
    ::testing::Values(
        Wrong{"Empty", "", R"(empty, expected a policy: {"version": 1})"},
        Wrong{"TooLarge", std::string(kMaxText + 1, ' '), "larger than the limit of 262144 bytes"},
        Wrong{"Nul", std::string("{\"version\":\n\0 1}", 15),
              "2:1: found a NUL byte, expected text"},
        Wrong{"NotUtf8", "{\n \"\xe9\": 1}",
              "2:3: found a byte that is not UTF-8, expected UTF-8 text"},
        Wrong{"NotUtf8InAComment", "// \xff\n{\"version\": 1}",
              "1:4: found a byte that is not UTF-8, expected UTF-8 text"},
        Wrong{"ByteOrderMark", "\xef\xbb\xbf{\"version\": 1}",
              "1:1: found a byte order mark, expected '{'; save the file without the mark"}));

INSTANTIATE_TEST_SUITE_P(
    Structure, WrongFile,
    ::testing::Values(
        Wrong{"NoBrace", "{\"version\": 1",
              "1:14: found the end of the file, expected ',' or '}' for the bracket of 1:1"},
        Wrong{"Garbage", "{\"version\": 1} }", "1:16: found '}', expected the end of the file"},
        Wrong{"Twice", "{\"version\": 1, \"version\": 1}",
              "1:16: version: given twice, first at 1:2"},
        Wrong{"Deep", with_default("\"untold\": [[[[[[[[1]]]]]]]]"),
              "2:30: more than 8 levels deep"},
        Wrong{"NotAnObject", "[1]", R"(1:1: an array: must be an object: {"version": 1, ...})"},
        Wrong{"ASchema", "table A { b:int; } root_type A;",
              "1:1: found 'table', expected a value: a string in double quotes, a number, true, "
              "false, '{' or '['"},
        Wrong{"HalfACharacter", "{\"version\": 1, \"vms\": [{\"name\": \"\\ud800\"}]}",
              "1:34: found half a surrogate pair, expected both halves"}));

INSTANTIATE_TEST_SUITE_P(
    Shape, WrongFile,
    ::testing::Values(
        Wrong{"UnknownMember", "{\"version\": 1, \"rules\": {}}",
              "1:16: rules: no such member; known here: version, default, vms"},
        Wrong{"Misspelled", with_vm("\"name\": \"b\", \"repeat-limit\": 4"),
              "3:17: vms[1].repeat-limit: no such member; \"repeat_limit\" is meant?"},
        Wrong{"UnknownRule", with_default("\"colour\": 4"),
              "2:14: default.colour: no such member; known here: policy, untold, outside, "
              "no_progress, optional, broadcast, repeat_limit, repeat_seconds, storm_pages, "
              "storm_seconds"},
        Wrong{"UnknownWord", with_default("\"untold\": \"stop\""),
              R"(2:14: default.untold: "stop": must be "reset", "pause" or "abort")"},
        Wrong{"WordOfAnother", with_default("\"outside\": \"reset\""),
              R"(2:14: default.outside: "reset": must be "pause" or "abort")"},
        Wrong{"UpperCase", with_default("\"policy\": \"QEMU\""),
              R"(2:14: default.policy: "QEMU": must be "qemu" or "recommended")"},
        // The parser beneath would take these: as reset | pause = abort, as 6, as qemu.
        Wrong{"TwoWords", with_default("\"untold\": \"reset pause\""),
              R"(2:14: default.untold: "reset pause": must be "reset", "pause" or "abort")"},
        Wrong{"NumberForWord", with_default("\"untold\": 6"),
              R"(2:14: default.untold: 6: must be "reset", "pause" or "abort")"},
        Wrong{"QualifiedWord", with_default("\"policy\": \"PolicyName.qemu\""),
              R"(2:14: default.policy: "PolicyName.qemu": must be "qemu" or "recommended")"},
        Wrong{"StringForNumber", with_default("\"repeat_limit\": \"16\""),
              "2:14: default.repeat_limit: \"16\": must be 2 to 1000, a whole number without "
              "quotes"},
        Wrong{"Fraction", with_default("\"repeat_limit\": 16.0"),
              "2:14: default.repeat_limit: 16.0: must be 2 to 1000, a whole number"},
        Wrong{"Exponent", with_default("\"repeat_limit\": 1e2"),
              "2:14: default.repeat_limit: 1e2: must be 2 to 1000, a whole number"},
        Wrong{"Negative", with_default("\"repeat_limit\": -4"),
              "2:14: default.repeat_limit: -4: must be 2 to 1000"},
        Wrong{"TooLargeForTheSchema", with_default("\"storm_pages\": 4294967298"),
              "2:14: default.storm_pages: 4294967298: must be 2 to 100000"},
        Wrong{"NumberForTruth", with_default("\"broadcast\": 1"),
              "2:14: default.broadcast: 1: must be true or false"},
        Wrong{"StringForTruth", with_default("\"broadcast\": \"true\""),
              "2:14: default.broadcast: \"true\": must be true or false without quotes"},
        Wrong{"Null", with_default("\"broadcast\": null"),
              "2:14: default.broadcast: null: must be true or false; leave it out to inherit it"},
        Wrong{"ObjectForWord", with_default("\"policy\": {\"policy\": \"qemu\"}"),
              R"(2:14: default.policy: an object: must be "qemu" or "recommended")"},
        Wrong{"NumberForName", with_vm("\"name\": 4"),
              "3:4: vms[1].name: 4: must be a pattern in double quotes"},
        Wrong{"VmsAsObject", "{\"version\": 1, \"vms\": {\"a\": {}}}",
              "1:16: vms: an object: must be an array of objects: [{...}, ...]"},
        Wrong{"VmAsString", "{\"version\": 1, \"vms\": [\"a\"]}",
              R"(1:24: vms[0]: "a": must be an object: {"name": ...})"},
        Wrong{"DefaultAsWord", "{\"version\": 1, \"default\": \"qemu\"}",
              "1:16: default: \"qemu\": must be an object: {...}"},
        Wrong{"VersionAsString", "{\"version\": \"1\"}", "1:2: version: \"1\": must be 1"},
        Wrong{"EscapedMember", with_default("\"\\u0075ntold\": \"pause\""),
              "2:14: default.\\u0075ntold: no such member; known here: policy, untold, outside, "
              "no_progress, optional, broadcast, repeat_limit, repeat_seconds, storm_pages, "
              "storm_seconds"}));

INSTANTIATE_TEST_SUITE_P(
    Values, WrongFile,
    ::testing::Values(
        Wrong{"NoVersion", "\n{}", "2:1: version: not given: must be 1"},
        Wrong{"OtherVersion", "{\"version\": 2}", "1:2: version: 2: must be 1"},
        Wrong{"OutOfRange", with_vm("\"name\": \"b\", \"repeat_limit\": 1"),
              "3:17: vms[1].repeat_limit: 1: must be 2 to 1000"},
        Wrong{"NameOfTheDefault", with_default("\"name\": \"x\""),
              "2:14: default.name: \"x\": only vms have a name"},
        Wrong{"NoName", with_vm("\"untold\": \"pause\""),
              "3:3: vms[1].name: not given: must be a pattern for the VM's name"},
        Wrong{"EmptyName", with_vm("\"name\": \"\""),
              "3:4: vms[1].name: \"\": must have at least one character"},
        Wrong{"ControlCharacter", with_vm("\"name\": \"a\\u0000b\""),
              "3:4: vms[1].name: \"a?b\": must be without control characters"},
        Wrong{"SameName", with_vm("\"name\": \"a\""),
              "3:4: vms[1].name: \"a\": can never decide, vms[0] \"a\" matches the same names "
              "before it"}));

TEST(Compile, TakesTheSmallestPolicy) {
  EXPECT_THAT(problems_in("{\"version\": 1}"), ElementsAre());
  EXPECT_THAT(problems_in("{\"version\": 1, \"default\": {}, \"vms\": []} // so"), ElementsAre());
}

TEST(Compile, TellsEveryProblemAtOnce) {
  EXPECT_THAT(
      problems_in("{\"version\": 3,\n\"default\": {\"repeat_limit\": 1, \"storm_pages\": 1}}"),
      ElementsAre("1:2: version: 3: must be 1", "2:13: default.repeat_limit: 1: must be 2 to 1000",
                  "2:32: default.storm_pages: 1: must be 2 to 100000"));
}

TEST(Compile, StopsAtTwentyProblems) {
  std::string shape;
  std::string values;
  for (int i = 0; i < 100; ++i) {
    shape += std::string(i == 0 ? "" : ",") + "{\"x\": " + std::to_string(i) + "}";
    values += std::string(i == 0 ? "" : ",") + "{\"repeat_limit\": 1}";
  }
  EXPECT_EQ(problems_in("{\"version\": 1, \"vms\": [" + shape + "]}").size(), kMaxProblems);
  EXPECT_EQ(problems_in("{\"version\": 1, \"vms\": [" + values + "]}").size(), kMaxProblems);
}

std::string many_vms(std::size_t count) {
  std::string vms;
  for (std::size_t i = 0; i < count; ++i) {
    vms += (i == 0 ? "" : ",") + std::string("{\"name\": \"vm-") + std::to_string(i) + "\"}";
  }
  return "{\"version\": 1, \"vms\": [" + vms + "]}";
}

TEST(Compile, TakesAsManyVmsAsTheLimitSays) {
  EXPECT_THAT(problems_in(many_vms(kMaxVms)), ElementsAre());
  EXPECT_THAT(problems_in(many_vms(kMaxVms + 2)),
              ElementsAre(HasSubstr("vms[1024]: one too many: must be at most 1024")));
}

TEST(Compile, TakesTheLongestPolicy) {
  std::string vms;
  for (std::size_t i = 0; i < kMaxVms; ++i) {
    const std::string number = std::to_string(10000 + i);
    vms += (i == 0 ? "" : ",") + std::string("{\"name\": \"") + std::string(122, 'x') + number +
           "\", \"untold\": \"pause\", \"broadcast\": true, \"storm_pages\": 9}";
  }
  const std::string text = "{\"version\": 1, \"vms\": [" + vms + "]}";
  ASSERT_LE(text.size(), kMaxText);
  EXPECT_THAT(problems_in(text), ElementsAre());
}

TEST(Compile, SurvivesCommentsThatFlatBuffersDoesNot) {
  EXPECT_THAT(problems_in("{\"version\": 1} /// not alone on its line"), ElementsAre());
  EXPECT_THAT(problems_in("/***/{/**/\"version\"/**/:/**/1/**/}/**/"), ElementsAre());
}

}  // namespace
}  // namespace memfail::policy
