// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/notice_words.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace memfail::ctl {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::string words(const char* notice) { return notice_words(json::parse(notice)).value_or(""); }

TEST(NoticeWords, SayWhichEventsAreGone) {
  EXPECT_EQ(words(R"({"gap":{"from":3,"to":10}})"), "gap: events 3 to 10 are gone");
  EXPECT_EQ(words(R"({"gap":{"from":3,"to":3}})"), "gap: event 3 is gone");
}

TEST(NoticeWords, NameBothJournals) {
  EXPECT_EQ(words(R"({"journal":"new","gap":{"journal":"old","from":8,"to":null}})"),
            "gap: memfaild has another journal, new; what came in journal old from event 8 on "
            "cannot be had; all events of the new one follow");
}

TEST(NoticeWords, SayWhereACutOffReaderGoesOn) {
  EXPECT_THAT(words(R"({"cut-off":"slow","resume-from":99})"), HasSubstr("going on with event 99"));
}

TEST(NoticeWords, SayWhatIsAccepted) {
  EXPECT_EQ(words(R"({"error":"\"action\" has no 'x'","accepted":["ignore","reset"]})"),
            "\"action\" has no 'x'; it has: ignore, reset");
  EXPECT_EQ(words(R"({"error":"so"})"), "so");
}

TEST(NoticeWords, OfAHeaderAndAnEndThereAreNone) {
  EXPECT_FALSE(notice_words(json::parse(R"({"journal":"j","first-seq":1,"next-seq":1})")));
  EXPECT_FALSE(notice_words(json::parse(R"({"end":"all","resume-from":4})")));
}

TEST(NoticeWords, SayWhatAPowerCutTakes) {
  EXPECT_THAT(durable_words("4", false), HasSubstr("from event 4 on: not on disk"));
  EXPECT_THAT(durable_words("9", true), HasSubstr("from event 9 on: on disk again"));
}

}  // namespace
}  // namespace memfail::ctl
