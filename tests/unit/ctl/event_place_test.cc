// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/event_place.h"

#include "gtest/gtest.h"

namespace memfail::ctl {
namespace {

using nlohmann::json;

json request_of(const EventPlace& place) {
  json request = json::object();
  place.add_to(request);
  return request;
}

json header(const char* journal, std::uint64_t first, std::uint64_t next) {
  return {{"journal", journal}, {"first-seq", first}, {"next-seq", next}};
}

TEST(EventPlace, AsksFirstAsTheUserDid) {
  EXPECT_EQ(request_of({std::nullopt, ""}), json::object());
  EXPECT_EQ(request_of({0, ""}), (json{{"since", 0}}));
  EXPECT_EQ(request_of({7, "j"}), (json{{"since", 7}, {"journal", "j"}}));
}

TEST(EventPlace, WhoFollowsLiveKnowsFromTheHeaderWhereThatIs) {
  EventPlace place(std::nullopt, "");
  place.take_notice(header("j", 1, 42));
  EXPECT_EQ(request_of(place), (json{{"since", 42}, {"journal", "j"}}));
}

TEST(EventPlace, GoesOnBehindTheLastEvent) {
  EventPlace place(0, "");
  place.take_notice(header("j", 1, 42));
  place.take_event(17);
  EXPECT_EQ(request_of(place), (json{{"since", 18}, {"journal", "j"}}));
  place.take_notice(header("j", 1, 50));  // connected again
  EXPECT_EQ(place.since(), 18U);
}

TEST(EventPlace, AnotherJournalBeginsAnew) {
  EventPlace place(0, "");
  place.take_notice(header("j", 1, 42));
  place.take_event(17);
  place.take_notice(header("k", 1, 3));
  place.take_notice(json::parse(R"({"gap":{"journal":"j","from":18,"to":null}})"));
  EXPECT_EQ(request_of(place), (json{{"since", 0}, {"journal", "k"}}));
  place.take_event(1);
  EXPECT_EQ(request_of(place), (json{{"since", 2}, {"journal", "k"}}));
}

TEST(EventPlace, TakesWhatMemfaildSays) {
  EventPlace place(5, "");
  place.take_notice(json::parse(R"({"gap":{"from":5,"to":9}})"));
  EXPECT_EQ(place.since(), 10U);
  place.take_notice(json::parse(R"({"cut-off":"","resume-from":12})"));
  EXPECT_EQ(place.since(), 12U);
  place.take_notice(json::parse(R"({"error":"","next-seq":8})"));
  EXPECT_EQ(place.since(), 8U);
  place.take_notice(json::parse(R"({"error":"limit"})"));
  EXPECT_EQ(place.since(), 8U);
}

}  // namespace
}  // namespace memfail::ctl
