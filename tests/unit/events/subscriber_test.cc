// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/events/subscriber.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sidecar/journal/event_history.h"
#include "source.h"

namespace memfail::events {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

journal::EventFields with(wire::Action action) {
  journal::EventFields fields;
  fields.action = action;
  return fields;
}

class SubscriberTest : public ::testing::Test {
 protected:
  void publish(std::size_t count, const journal::EventFields& fields = {}) {
    for (std::size_t i = 0; i < count; ++i) store_.append_event(fields);
  }

  std::string answer_to(const std::string& request) {
    Subscriber subscriber(source_);
    subscriber.take_input(request);
    return read(subscriber);
  }

  journal::RecordStore store_{"memory-test"};
  journal::EventHistory source_{store_};
};

TEST_F(SubscriberTest, OneThatSaysNothingGetsWhatComesAfterTheHeader) {
  publish(2);
  Subscriber subscriber(source_);
  EXPECT_THAT(read(subscriber), HasSubstr("\"next-seq\":3"));
  publish(2);
  EXPECT_THAT(seqs(read(subscriber)), IsEmpty());  // it may still ask
  subscriber.asks_nothing();
  EXPECT_THAT(seqs(read(subscriber)), ElementsAre(3, 4));
}

TEST_F(SubscriberTest, OneThatClosesItsSideGetsWhatComesAtOnce) {
  Subscriber subscriber(source_);
  subscriber.input_ended();
  publish(1);
  EXPECT_THAT(seqs(read(subscriber)), ElementsAre(1));
}

TEST_F(SubscriberTest, NoEventIsToldTwiceToOneThatAsksLate) {
  Subscriber early(source_);
  early.asks_nothing();
  early.take_input("{\"since\":0}\n");
  publish(1);
  EXPECT_THAT(seqs(read(early)), ElementsAre(1));
  Subscriber late(source_);
  late.asks_nothing();
  publish(1);
  read(late);
  late.take_input("{\"since\":0}\n");
  const std::string text = read(late);
  EXPECT_THAT(seqs(text), IsEmpty());
  EXPECT_THAT(text, HasSubstr("send it at once"));
  EXPECT_TRUE(late.finished());
}

TEST_F(SubscriberTest, SinceZeroIsAllThereIs) {
  publish(3);
  Subscriber subscriber(source_);
  subscriber.take_input("{\"since\":0,\"follow\":true}\n");
  EXPECT_THAT(seqs(read(subscriber)), ElementsAre(1, 2, 3));
  EXPECT_FALSE(subscriber.finished());
}

TEST_F(SubscriberTest, SinceIsTheFirstThatIsWanted) {
  publish(3);
  Subscriber subscriber(source_);
  subscriber.take_input("{\"since\":2,\"follow\":false}\n");
  const std::string text = read(subscriber);
  EXPECT_THAT(seqs(text), ElementsAre(2, 3));
  EXPECT_TRUE(subscriber.finished());
  EXPECT_EQ(last_notice(text)["resume-from"], 4);
  EXPECT_TRUE(last_notice(text).contains("end"));
}

TEST_F(SubscriberTest, TheNextEventMayBeAskedForAndNoneBehindIt) {
  publish(3);
  Subscriber next(source_);
  next.take_input("{\"since\":4}\n");
  EXPECT_THAT(read(next), Not(HasSubstr("error")));
  publish(1);
  EXPECT_THAT(seqs(read(next)), ElementsAre(4));
  Subscriber future(source_);
  future.take_input("{\"since\":6}\n");
  const std::string text = read(future);
  EXPECT_TRUE(future.finished());
  EXPECT_EQ(last_notice(text)["next-seq"], 5);
  EXPECT_EQ(last_notice(text)["error"],
            "\"since\": 6 has not happened: the next event is 5; taken are 0 (all there are) to 5");
}

TEST_F(SubscriberTest, ARequestMayComeInPieces) {
  publish(1);
  Subscriber subscriber(source_);
  for (const char c : std::string("{\"since\":0}\n")) subscriber.take_input({&c, 1});
  EXPECT_THAT(seqs(read(subscriber)), ElementsAre(1));
}

TEST_F(SubscriberTest, ARequestMayEndWithTheInput) {
  publish(1);
  Subscriber subscriber(source_);
  subscriber.take_input("{\"since\":0}");
  subscriber.input_ended();
  EXPECT_THAT(seqs(read(subscriber)), ElementsAre(1));
}

TEST_F(SubscriberTest, WhatIsGoneIsCalledAGap) {
  publish(journal::RecordStore::kEvents + 10);
  Subscriber subscriber(source_);
  subscriber.take_input("{\"since\":3,\"follow\":false}\n");
  const std::string text = read(subscriber);
  EXPECT_THAT(text, HasSubstr("\"gap\":{\"from\":3,\"to\":10}"));
  const std::vector<std::uint64_t> told = seqs(text);
  EXPECT_EQ(told.front(), 11U);
  EXPECT_EQ(told.size(), journal::RecordStore::kEvents);
}

TEST_F(SubscriberTest, AnotherJournalIsAGapOfUnknownSizeAndThenAllThereIs) {
  publish(2);
  const std::string text = answer_to("{\"since\":900,\"journal\":\"other\",\"follow\":false}\n");
  EXPECT_THAT(text, HasSubstr("\"gap\":{\"journal\":\"other\",\"from\":900,\"to\":null}"));
  EXPECT_THAT(seqs(text), ElementsAre(1, 2));
  publish(journal::RecordStore::kEvents);
  EXPECT_THAT(answer_to("{\"since\":2,\"journal\":\"other\",\"follow\":false}\n"),
              HasSubstr("\"gap\":{\"from\":1,\"to\":2}"));  // of this one, too
}

TEST_F(SubscriberTest, TheSameJournalIsNoGap) {
  publish(2);
  const std::string text =
      answer_to("{\"since\":2,\"journal\":\"memory-test\",\"follow\":false}\n");
  EXPECT_THAT(text, Not(HasSubstr("gap")));
  EXPECT_THAT(seqs(text), ElementsAre(2));
}

TEST_F(SubscriberTest, MemoryAloneIsNotDurable) {
  publish(1);
  EXPECT_THAT(answer_to("{\"since\":0}\n"), HasSubstr(",\"durable\":false}}}\n"));
}

TEST_F(SubscriberTest, ASlowReaderIsToldWhereToResume) {
  Subscriber subscriber(source_);
  subscriber.asks_nothing();
  publish(1);
  (void)subscriber.output();  // never consumed
  publish(journal::RecordStore::kEvents + 100);
  const std::string text = read(subscriber);
  EXPECT_TRUE(subscriber.finished());
  EXPECT_THAT(text, HasSubstr("\"resume-from\":2}"));
  EXPECT_THAT(seqs(text), ElementsAre(1));
}

// The last line stands behind a full buffer, and is noticed without anything read.
TEST_F(SubscriberTest, OneThatReadsNothingIsCutOffWithinItsBuffer) {
  publish(200);
  Subscriber subscriber(source_);
  subscriber.take_input("{\"since\":1}\n");
  while (subscriber.output().size() < Subscriber::kMaxBuffered) {
  }
  const std::size_t full = subscriber.output().size();
  publish(journal::RecordStore::kEvents + 1);
  EXPECT_LT(subscriber.output().size(), full + 200);
  EXPECT_TRUE(subscriber.finished());
  const std::string text = read(subscriber);
  EXPECT_EQ(last_notice(text)["resume-from"], seqs(text).back() + 1);
  EXPECT_TRUE(last_notice(text).contains("cut-off"));
}

TEST_F(SubscriberTest, WhoWasCutOffMissesNothingAndGetsNothingTwice) {
  Subscriber slow(source_);
  slow.take_input("{\"since\":1}\n");
  publish(300);
  (void)slow.output();
  publish(journal::RecordStore::kEvents);
  const std::string before = read(slow);
  const auto resume = last_notice(before)["resume-from"].get<std::uint64_t>();
  const std::string after =
      answer_to("{\"since\":" + std::to_string(resume) + ",\"follow\":false}\n");
  std::uint64_t expected = 1;
  for (const nlohmann::json& line : lines_of(before + after)) {
    if (line.contains("event")) {
      EXPECT_EQ(line["data"]["memfail"]["seq"], expected++);
    } else if (line["memfaild"].contains("gap")) {
      EXPECT_EQ(line["memfaild"]["gap"]["from"], expected);
      expected = line["memfaild"]["gap"]["to"].get<std::uint64_t>() + 1;
    }
  }
  EXPECT_EQ(expected, store_.next_seq());
}

TEST_F(SubscriberTest, TheBufferIsBounded) {
  publish(journal::RecordStore::kEvents);
  Subscriber subscriber(source_);
  subscriber.take_input("{\"since\":0}\n");
  for (int i = 0; i < 1000; ++i) (void)subscriber.output();
  EXPECT_LT(subscriber.output().size(), Subscriber::kMaxBuffered + 4096);
}

TEST_F(SubscriberTest, OneTurnTellsAFewEventsOnly) {
  publish(1000);
  Subscriber subscriber(source_);
  subscriber.take_input("{\"since\":0}\n");
  EXPECT_LT(seqs(std::string(subscriber.output())).size(), 40U);
  EXPECT_TRUE(subscriber.pending());
}

TEST_F(SubscriberTest, NonsenseIsAnsweredAndEnds) {
  for (const std::string request : {"hello\n", "[1]\n", "{\"since\":-1}\n", "{\"since\":1.5}\n",
                                    "{\"follow\":1}\n", "{\"journal\":7}\n", "\n"}) {
    Subscriber subscriber(source_);
    subscriber.take_input(request);
    EXPECT_THAT(read(subscriber), HasSubstr("\"error\"")) << request;
    EXPECT_TRUE(subscriber.finished());
  }
  Subscriber endless(source_);
  for (int i = 0; i < 5000; ++i) endless.take_input("x");
  EXPECT_THAT(read(endless), HasSubstr("longer than 4096 bytes"));
  EXPECT_TRUE(endless.finished());
}

// ---- with a filter -------------------------------------------------------------------

TEST_F(SubscriberTest, AFilterPassesOverWhatItDoesNotWant) {
  publish(2, with(wire::Action::inject));
  publish(1, with(wire::Action::reset));
  publish(2, with(wire::Action::inject));
  EXPECT_THAT(seqs(answer_to("{\"since\":0,\"action\":\"reset\",\"follow\":false}\n")),
              ElementsAre(3));
}

TEST_F(SubscriberTest, WhatAFilterPassesOverDoesNotMakeAReaderSlow) {
  Subscriber subscriber(source_);
  subscriber.take_input("{\"action\":\"reset\"}\n");
  for (int i = 0; i < 3; ++i) {
    publish(journal::RecordStore::kEvents - 1, with(wire::Action::inject));
    EXPECT_THAT(seqs(read(subscriber)), IsEmpty());
  }
  publish(1, with(wire::Action::reset));
  EXPECT_EQ(seqs(read(subscriber)).size(), 1U);
}

TEST_F(SubscriberTest, ALongSilenceIsLookedThroughInSharesAndThenIdle) {
  publish(2000, with(wire::Action::inject));
  Subscriber subscriber(source_);
  subscriber.take_input("{\"since\":0,\"action\":\"reset\"}\n");
  subscriber.consumed(subscriber.output().size());
  EXPECT_TRUE(subscriber.pending());  // a share, not all
  read(subscriber);
  EXPECT_FALSE(subscriber.pending());
  EXPECT_TRUE(subscriber.output().empty());
}

// ---- history that is not in memory ---------------------------------------------------

TEST(SubscriberHistory, OneThatWaitsAsksNothingUntilItHasCome) {
  SlowSource source;
  source.publish(3);
  source.all_is_history();
  source.publish(1);
  Subscriber subscriber(source);
  subscriber.take_input("{\"since\":1}\n");
  EXPECT_THAT(seqs(read(subscriber)), IsEmpty());
  const std::size_t fetches = source.fetches();
  EXPECT_FALSE(subscriber.pending());
  EXPECT_TRUE(subscriber.output().empty());
  EXPECT_EQ(source.fetches(), fetches);
  std::vector<std::uint64_t> told;
  for (int i = 0; i < 3; ++i) {
    source.bring();
    subscriber.history_arrived();
    for (const std::uint64_t seq : seqs(read(subscriber))) told.push_back(seq);
  }
  EXPECT_THAT(told, ElementsAre(1, 2, 3, 4));
}

TEST(SubscriberHistory, OthersGoOnMeanwhile) {
  SlowSource source;
  source.publish(3);
  source.all_is_history();
  Subscriber waiting(source);
  Subscriber live(source);
  waiting.take_input("{\"since\":1}\n");
  live.input_ended();
  read(waiting);
  source.publish(1);
  EXPECT_THAT(seqs(read(live)), ElementsAre(4));
  EXPECT_THAT(seqs(read(waiting)), IsEmpty());
}

TEST(SubscriberHistory, WhatWasOverwrittenWhileWaitingIsAGapAndNoFaultOfTheReader) {
  SlowSource source;
  source.publish(5);
  source.all_is_history();
  source.publish(1);
  Subscriber subscriber(source);
  subscriber.take_input("{\"since\":1,\"follow\":false}\n");
  read(subscriber);
  source.overwrite_before(6);
  subscriber.history_arrived();
  const std::string text = read(subscriber);
  EXPECT_THAT(text, HasSubstr("\"gap\":{\"from\":1,\"to\":5}"));
  EXPECT_THAT(text, Not(HasSubstr("cut-off")));
  EXPECT_THAT(seqs(text), ElementsAre(6));
}

TEST(SubscriberHistory, WhatIsDamagedIsOneGap) {
  SlowSource source;
  source.publish(6);
  for (const std::uint64_t seq : {3U, 4U, 6U}) source.damage(seq);
  Subscriber subscriber(source);
  subscriber.take_input("{\"since\":1,\"follow\":false}\n");
  const std::string text = read(subscriber);
  EXPECT_THAT(seqs(text), ElementsAre(1, 2, 5));
  EXPECT_THAT(text, HasSubstr("\"gap\":{\"from\":3,\"to\":4}"));
  EXPECT_THAT(text, HasSubstr("\"gap\":{\"from\":6,\"to\":6}"));
  EXPECT_EQ(last_notice(text)["resume-from"], 7);
}

TEST(SubscriberHistory, EachEventSaysWhetherItIsDurable) {
  SlowSource source;
  source.publish(1);
  source.all_is_history();
  source.publish(1);
  Subscriber subscriber(source);
  subscriber.take_input("{\"since\":1,\"follow\":false}\n");
  read(subscriber);
  source.bring();
  subscriber.history_arrived();
  const auto lines = lines_of(read(subscriber));
  EXPECT_EQ(lines[0]["data"]["memfail"]["durable"], true);
  EXPECT_EQ(lines[1]["data"]["memfail"]["durable"], false);
}

}  // namespace
}  // namespace memfail::events
