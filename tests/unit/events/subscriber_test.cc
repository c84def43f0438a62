// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/events/subscriber.h"

#include <nlohmann/json.hpp>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace memfail::events {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SubscriberTest : public ::testing::Test {
 protected:
  void publish(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) store_.append_event({});
  }

  // Reads all there is; the header is kept apart.
  std::string read(Subscriber& subscriber) {
    std::string all;
    while (!subscriber.output().empty()) {
      all += subscriber.output();
      subscriber.consumed(subscriber.output().size());
    }
    return all;
  }

  std::vector<std::uint64_t> seqs(const std::string& text) {
    std::vector<std::uint64_t> out;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const json object = json::parse(line);
      if (object.contains("event")) out.push_back(object["data"]["memfail"]["seq"]);
    }
    return out;
  }

  journal::RecordStore store_{"memory-test"};
};

TEST_F(SubscriberTest, OneThatSaysNothingGetsWhatComes) {
  publish(2);
  Subscriber subscriber(store_);
  EXPECT_THAT(read(subscriber), HasSubstr("\"next-seq\":3"));
  publish(2);
  EXPECT_THAT(seqs(read(subscriber)), ElementsAre(3, 4));
}

TEST_F(SubscriberTest, SinceZeroIsAllThereIs) {
  publish(3);
  Subscriber subscriber(store_);
  subscriber.take_input("{\"since\":0,\"follow\":true}\n");
  EXPECT_THAT(seqs(read(subscriber)), ElementsAre(1, 2, 3));
  EXPECT_FALSE(subscriber.finished());
}

TEST_F(SubscriberTest, SinceIsTheFirstThatIsWanted) {
  publish(3);
  Subscriber subscriber(store_);
  subscriber.take_input("{\"since\":2,\"follow\":false}\n");
  EXPECT_THAT(seqs(read(subscriber)), ElementsAre(2, 3));
  EXPECT_TRUE(subscriber.finished());
}

TEST_F(SubscriberTest, ARequestMayComeInPieces) {
  publish(1);
  Subscriber subscriber(store_);
  for (const char c : std::string("{\"since\":0}\n")) subscriber.take_input({&c, 1});
  EXPECT_THAT(seqs(read(subscriber)), ElementsAre(1));
}

TEST_F(SubscriberTest, WhatIsGoneIsCalledAGap) {
  publish(journal::RecordStore::kEvents + 10);
  Subscriber subscriber(store_);
  subscriber.take_input("{\"since\":3,\"follow\":false}\n");
  const std::string text = read(subscriber);
  EXPECT_THAT(text, HasSubstr("\"gap\":{\"from\":3,\"to\":10}"));
  EXPECT_EQ(seqs(text).front(), 11U);
  EXPECT_EQ(seqs(text).size(), journal::RecordStore::kEvents);
}

TEST_F(SubscriberTest, AnotherJournalIsAGap) {
  publish(2);
  Subscriber subscriber(store_);
  subscriber.take_input("{\"since\":2,\"journal\":\"other\",\"follow\":false}\n");
  const std::string text = read(subscriber);
  EXPECT_THAT(text, HasSubstr("\"gap\""));
  EXPECT_THAT(seqs(text), ElementsAre(1, 2));
}

TEST_F(SubscriberTest, ASlowReaderIsToldWhereToResume) {
  Subscriber subscriber(store_);
  publish(1);
  subscriber.output();  // never consumed
  publish(journal::RecordStore::kEvents + 100);
  const std::string text = read(subscriber);
  EXPECT_TRUE(subscriber.finished());
  EXPECT_THAT(text, HasSubstr("\"resume-from\":2}"));
  EXPECT_THAT(seqs(text), ElementsAre(1));
}

TEST_F(SubscriberTest, TheBufferIsBounded) {
  publish(journal::RecordStore::kEvents);
  Subscriber subscriber(store_);
  subscriber.take_input("{\"since\":0}\n");
  EXPECT_LT(subscriber.output().size(), Subscriber::kMaxBuffered + 4096);
}

TEST_F(SubscriberTest, NonsenseIsAnsweredAndEnds) {
  for (const std::string request :
       {"hello\n", "[1]\n", "{\"since\":-1}\n", "{\"follow\":1}\n", "\n"}) {
    Subscriber subscriber(store_);
    subscriber.take_input(request);
    EXPECT_THAT(read(subscriber), HasSubstr("\"error\"")) << request;
    EXPECT_TRUE(subscriber.finished());
  }
  Subscriber endless(store_);
  for (int i = 0; i < 2000; ++i) endless.take_input("x");
  EXPECT_TRUE(endless.finished());
}

}  // namespace
}  // namespace memfail::events
