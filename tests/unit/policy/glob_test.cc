// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/glob.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "sidecar/policy/utf8.h"

namespace memfail::policy {
namespace {

using ::testing::HasSubstr;

bool matches(std::string_view pattern, std::string_view name) {
  return Glob::parse(pattern)->matches(decode_all(name));
}

bool covers(std::string_view earlier, std::string_view later) {
  std::size_t steps = 0;
  return Glob::parse(earlier)->covers(*Glob::parse(later), steps);
}

std::string refusal(std::string_view pattern) {
  const auto glob = Glob::parse(pattern);
  return glob ? "" : glob.error();
}

TEST(Glob, TakesTextLiterally) {
  EXPECT_TRUE(matches("db1", "db1"));
  EXPECT_FALSE(matches("db1", "db12"));
  EXPECT_FALSE(matches("db1", "db"));
  EXPECT_FALSE(matches("db1", "DB1"));
  EXPECT_TRUE(matches("a.b^$+(x)", "a.b^$+(x)"));
}

TEST(Glob, StarIsAnyTextOrNone) {
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("*", "anything"));
  EXPECT_TRUE(matches("db*", "db"));
  EXPECT_TRUE(matches("*db", "x-db"));
  EXPECT_TRUE(matches("a*b*c", "a-b-b-c"));
  EXPECT_FALSE(matches("a*b*c", "a-c-b"));
  EXPECT_TRUE(matches("*ab", "aab")) << "the star takes more after a mismatch";
  EXPECT_TRUE(matches("*a*b", "xaxxab"));
}

TEST(Glob, QuestionMarkIsOneCharacter) {
  EXPECT_TRUE(matches("vm?", "vm1"));
  EXPECT_FALSE(matches("vm?", "vm"));
  EXPECT_FALSE(matches("vm?", "vm12"));
  EXPECT_TRUE(matches("vm?", "vmé")) << "a character, not a byte";
  EXPECT_TRUE(matches("vm?", "vm\xff")) << "nor does it need to be valid";
  EXPECT_FALSE(matches("?*", ""));
}

TEST(Glob, ABackslashTakesTheNextCharacterAsItIs) {
  EXPECT_TRUE(matches("a\\*", "a*"));
  EXPECT_FALSE(matches("a\\*", "ab"));
  EXPECT_TRUE(matches("\\[x]\\\\", "[x]\\"));
}

// Every short pattern and name, against the definition.
bool slowly(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern[0] == '*') {
    return slowly(pattern.substr(1), name) || (!name.empty() && slowly(pattern, name.substr(1)));
  }
  return !name.empty() && (pattern[0] == '?' || pattern[0] == name[0]) &&
         slowly(pattern.substr(1), name.substr(1));
}

std::vector<std::string> all_texts(std::string_view letters, std::size_t longest) {
  std::vector<std::string> all{""};
  for (std::size_t begin = 0, length = 0; length < longest; ++length) {
    const std::size_t end = all.size();
    for (; begin < end; ++begin) {
      for (const char letter : letters) all.push_back(all[begin] + letter);
    }
  }
  return all;
}

TEST(Glob, MatchesAsDefined) {
  const auto names = all_texts("ab", 6);
  for (const std::string& pattern : all_texts("ab*?", 5)) {
    if (pattern.empty()) continue;
    const auto glob = Glob::parse(pattern);
    ASSERT_TRUE(glob);
    for (const std::string& name : names) {
      EXPECT_EQ(glob->matches(decode_all(name)), slowly(pattern, name)) << pattern << ' ' << name;
    }
  }
}

TEST(Glob, WhatItCoversItMatches) {
  const auto names = all_texts("ab", 6);
  const auto patterns = all_texts("a*?", 4);
  std::size_t covered = 0;
  for (const std::string& earlier : patterns) {
    for (const std::string& later : patterns) {
      if (earlier.empty() || later.empty() || !covers(earlier, later)) continue;
      ++covered;
      for (const std::string& name : names) {
        EXPECT_TRUE(!slowly(later, name) || slowly(earlier, name)) << earlier << ' ' << later;
      }
    }
  }
  EXPECT_GT(covered, patterns.size());
}

TEST(Glob, CoversWhatItSurelyMatches) {
  EXPECT_TRUE(covers("*", "db*"));
  EXPECT_TRUE(covers("db*", "db-1"));
  EXPECT_TRUE(covers("db*", "db?"));
  EXPECT_TRUE(covers("?*", "*?")) << "the same in another order";
  EXPECT_TRUE(covers("a**", "a*"));
  EXPECT_FALSE(covers("db?", "db*"));
  EXPECT_FALSE(covers("db1", "db?"));
  EXPECT_FALSE(covers("a?", "a\\?x"));
  EXPECT_FALSE(covers("a*", "*a"));
  EXPECT_FALSE(covers("a\\*", "a*"));
  EXPECT_TRUE(covers("a*", "a\\*"));
}

TEST(Glob, CountsItsSteps) {
  std::size_t steps = 0;
  const auto hard = Glob::parse("*" + std::string(60, 'a') + "b");
  const auto subject = Glob::parse(std::string(127, 'a'));
  EXPECT_FALSE(hard->covers(*subject, steps));
  EXPECT_GT(steps, 1000U);
  EXPECT_LT(steps, 127U * 127U);
}

TEST(Glob, HasOneSpellingForTheSame) {
  EXPECT_EQ(Glob::parse("a***")->canonical(), "a*");
  EXPECT_EQ(Glob::parse("*?*?")->canonical(), "??*");
  EXPECT_EQ(Glob::parse("\\a\\*é\\\\")->canonical(), "a\\*é\\\\");
  EXPECT_EQ(Glob::parse("*\\?")->canonical(), "*\\?") << "a literal stays where it is";
}

TEST(Glob, RefusesWhatIsNoPattern) {
  EXPECT_EQ(refusal(""), "must have at least one character");
  EXPECT_EQ(refusal(std::string(127, 'x')), "");
  EXPECT_EQ(refusal(std::string(128, 'x')), "128 bytes long, must be at most 127");
  EXPECT_EQ(refusal("a\nb"), "must be without control characters");
  EXPECT_EQ(refusal(std::string_view("a\0", 2)), "must be without control characters");
  EXPECT_EQ(refusal("a\xff"), "must be UTF-8");
  EXPECT_EQ(refusal("a\\"), "must have a character after the backslash");
  EXPECT_THAT(refusal("vm[0-9]"), HasSubstr("without sets"));
}

}  // namespace
}  // namespace memfail::policy
