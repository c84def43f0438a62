// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/utf8.h"

#include <gtest/gtest.h>

namespace memfail::policy {
namespace {

TEST(Utf8, ReadsCharactersOfEachLength) { EXPECT_EQ(decode_all("aé€😀"), U"aé€😀"); }

TEST(Utf8, WritesWhatItReads) {
  const std::string text = "aé€😀\u07ff\uffff";
  std::string out;
  for (const char32_t one : decode_all(text)) append_utf8(out, one);
  EXPECT_EQ(out, text);
}

TEST(Utf8, FindsTheFirstByteThatIsNotUtf8) {
  EXPECT_EQ(find_invalid("plain é"), std::nullopt);
  EXPECT_EQ(find_invalid("ab\xff"), 2U);
  EXPECT_EQ(find_invalid("é\x80"), 2U) << "a byte that only goes on";
  EXPECT_EQ(find_invalid("\xc0\x80"), 0U) << "overlong NUL";
  EXPECT_EQ(find_invalid("\xe0\x80\x80"), 0U) << "overlong";
  EXPECT_EQ(find_invalid("\xed\xa0\x80"), 0U) << "surrogate";
  EXPECT_EQ(find_invalid("\xf4\x90\x80\x80"), 0U) << "beyond Unicode";
  EXPECT_EQ(find_invalid("x\xe2\x82"), 1U) << "cut short";
}

TEST(Utf8, CountsAnInvalidByteAsOneCharacter) {
  EXPECT_EQ(decode_all("a\xff\xfe").size(), 3U);
  EXPECT_EQ(decode("\xff").character, kBeyondUnicode + 0xff);
}

TEST(Utf8, KeepsControlCharactersOffTheTerminal) {
  EXPECT_EQ(shown("a\x1b[2J\x7f\xc2\x9b\xff", 40), "a?[2J???");
  EXPECT_EQ(shown("abcdef", 3), "abc...");
  EXPECT_EQ(shown("abc", 3), "abc");
}

}  // namespace
}  // namespace memfail::policy
