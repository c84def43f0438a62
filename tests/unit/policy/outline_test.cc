// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/outline.h"

#include <gtest/gtest.h>

namespace memfail::policy {
namespace {

std::string problem_in(std::string_view text) {
  const auto outline = Outline::read(text);
  return outline ? "" : problem_line(outline.error(), "");
}

std::vector<std::string> places_in(std::string_view text) {
  std::vector<std::string> places;
  const auto outline = Outline::read(text);
  if (!outline) return {problem_line(outline.error(), "")};
  for (const Node& node : outline->nodes()) places.push_back(outline->place_of(node));
  return places;
}

constexpr const char* kAValue =
    "expected a value: a string in double quotes, a number, true, false, '{' or '['";

TEST(Outline, NamesEachPlace) {
  EXPECT_EQ(
      places_in(R"({"a": 1, "b": [true, {"c": "x"}, [null]], "d": {}})"),
      (std::vector<std::string>{"", "a", "b", "b[0]", "b[1]", "b[1].c", "b[2]", "b[2][0]", "d"}));
}

TEST(Outline, TellsKindsAndSpelling) {
  const auto outline = Outline::read(R"([-1.5e+3, "a\"\u00e9", true, false, null, [], {}])");
  ASSERT_TRUE(outline);
  std::vector<std::string> texts;
  for (const Node& node : outline->nodes()) texts.emplace_back(node.text);
  EXPECT_EQ(texts, (std::vector<std::string>{"[", "-1.5e+3", R"("a\"\u00e9")", "true", "false",
                                             "null", "[", "{"}));
  EXPECT_EQ(outline->nodes()[1].kind, JsonKind::kNumber);
  EXPECT_EQ(outline->nodes()[2].kind, JsonKind::kString);
  EXPECT_EQ(outline->nodes()[5].kind, JsonKind::kNull);
}

TEST(Outline, PutsSpacesForComments) {
  const std::string text = "/* a\n */ {\"a\"://x\n1/**/} ///d";
  const auto outline = Outline::read(text);
  ASSERT_TRUE(outline);
  EXPECT_EQ(outline->without_comments(), "    \n    {\"a\":   \n1    }     ");
}

TEST(Outline, CommentsDoNotBeginInStrings) {
  EXPECT_EQ(places_in(R"({"a": "// /* no", "b": 1})"), (std::vector<std::string>{"", "a", "b"}));
}

TEST(Outline, FindsTheInnermostThatIsThere) {
  const auto outline = Outline::read(R"({"vms": [{"a": 1}, {"b": 2}]})");
  ASSERT_TRUE(outline);
  EXPECT_EQ(outline->nearest("vms[1].b").text, "2");
  EXPECT_EQ(outline->nearest("vms[1].c").offset, 19U);
  EXPECT_EQ(outline->nearest("vms[7].c").key, "vms");
  EXPECT_EQ(outline->nearest("version").offset, 0U);
}

TEST(Outline, RefusesWhatIsNoJson) {
  EXPECT_EQ(problem_in(""), std::string("1:1: found the end of the file, ") + kAValue);
  EXPECT_EQ(problem_in("{\"a\":\n reset}"), std::string("2:2: found 'reset', ") + kAValue);
  EXPECT_EQ(problem_in("[1, ]"), std::string("1:5: found ']', ") + kAValue);
  EXPECT_EQ(problem_in("['a']"), std::string("1:2: found ''', ") + kAValue);
  EXPECT_EQ(problem_in("[truely]"), std::string("1:2: found 'truely', ") + kAValue);
  EXPECT_EQ(problem_in("[+1]"), std::string("1:2: found '+1', ") + kAValue);
  EXPECT_EQ(problem_in("{a: 1}"), "1:2: found 'a', expected a member's name in double quotes");
  EXPECT_EQ(problem_in("{\"a\":1,}"), "1:8: found '}', expected a member's name in double quotes");
  EXPECT_EQ(problem_in("{\"a\" 1}"), "1:6: found '1', expected ':' after the name \"a\"");
  EXPECT_EQ(problem_in("{\"a\":1 \"b\":2}"), "1:8: found a string, expected ',' or '}'");
  EXPECT_EQ(problem_in("[1}"), "1:3: found '}', expected ',' or ']'");
  EXPECT_EQ(problem_in("{} {}"), "1:4: found '{', expected the end of the file");
  EXPECT_EQ(problem_in("[é é]"), std::string("1:2: found 'é', ") + kAValue);
}

TEST(Outline, NamesTheBracketThatIsStillOpen) {
  EXPECT_EQ(problem_in("{\n  \"a\": [1\n"),
            "3:1: found the end of the file, expected ',' or ']' for the bracket of 2:8");
}

TEST(Outline, RefusesNumbersThatJsonDoesNotKnow) {
  for (const char* number : {"01", "-", "1.", "1e", "1e+", "0x10", "1_000", "1.2.3", "-a", "1-2"}) {
    EXPECT_EQ(problem_in("[" + std::string(number) + "]"),
              "1:2: found '" + std::string(number) + "', expected a number as JSON has it");
  }
  EXPECT_EQ(problem_in("[0, -0, 0.5, 1E5, 1e-5, 10]"), "");
}

TEST(Outline, RefusesStringsThatAreNotWhole) {
  EXPECT_EQ(problem_in("[\"a\n\"]"),
            "1:2: found a string that does not end, expected '\"' in the same line");
  EXPECT_EQ(problem_in("[\"a"),
            "1:2: found a string that does not end, expected '\"' in the same line");
  EXPECT_EQ(problem_in("[\"a\tb\"]"),
            "1:4: found a control character in a string, expected an escape like \\t");
  for (const char* escape : {"\\x41", "\\'", "\\"}) {
    EXPECT_EQ(
        problem_in("[\"" + std::string(escape) + "\"]").substr(0, 24),
        escape == std::string("\\") ? "1:2: found a string that" : "1:3: found a backslash, ");
  }
}

TEST(Outline, RefusesHalfCharacters) {
  for (const char* escape : {"\\u12", "\\u12g4", "\\u", "\\u-123", "\\u+123", "\\u0x12"}) {
    EXPECT_EQ(problem_in("[\"" + std::string(escape) + "\"]"),
              "1:3: found \\u, expected \\u and four hexadecimal digits");
  }
  for (const char* escape : {"\\ud800", "\\udc00", "\\ud800x", "\\ud800\\n", "\\ud800\\ud800",
                             "\\udbff\\ue000", "\\ud800\\uzzzz", "\\udfff\\ud800"}) {
    EXPECT_EQ(problem_in("[\"" + std::string(escape) + "\"]"),
              "1:3: found half a surrogate pair, expected both halves");
  }
  EXPECT_EQ(problem_in(R"(["\ud83d\ude00\u00e9\uABCD\udbff\udfff"])"), "");
}

TEST(Outline, RefusesCommentsThatDoNotEnd) {
  EXPECT_EQ(problem_in("{} /* a\n"),
            "1:4: found a comment that does not end, expected '*/' after it");
  EXPECT_EQ(problem_in("{} /*/"), "1:4: found a comment that does not end, expected '*/' after it");
  EXPECT_EQ(problem_in("{} / x"), "1:4: found '/', expected the end of the file");
}

TEST(Outline, RefusesAMemberThatIsGivenTwice) {
  EXPECT_EQ(problem_in("{\"v\": [{\"a\": 1,\n \"a\": 2}]}"),
            "2:2: v[0].a: given twice, first at 1:9");
  EXPECT_EQ(problem_in(R"({"a": 1, "b": {"a": 2}, "c": [{"a": 3}, {"a": 4}]})"), "");
}

TEST(Outline, RefusesDepth) {
  EXPECT_EQ(problem_in("[[[[[[[[]]]]]]]]"), "");
  EXPECT_EQ(problem_in("[[[[[[[[[]]]]]]]]]"), "1:9: more than 8 levels deep");
  EXPECT_EQ(problem_in(std::string(200'000, '[')), "1:9: more than 8 levels deep");
  std::string objects;
  for (int i = 0; i < 20'000; ++i) objects += "{\"a\":";
  EXPECT_EQ(problem_in(objects), "1:41: more than 8 levels deep");
}

TEST(Outline, CountsColumnsInCharacters) {
  EXPECT_EQ(problem_in("{\"éé\": x}").substr(0, 4), "1:8:");
}

}  // namespace
}  // namespace memfail::policy
