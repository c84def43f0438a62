// SPDX-License-Identifier: BSD-3-Clause
//
// Readers of the event stream of a real memfaild.
#include <memory>

#include "daemon.h"
#include "event_stream.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "peer.h"

namespace memfail::test {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr std::size_t kKept = 4096;  // events that memory has

// One event of this VM, reason lane-full.
void lose_a_report(Peer& peer) {
  shm::count_lost_report(peer.request());
  peer.ring();
}

TEST(Readers, OneThatSaysNothingGetsWhatComes) {
  const Daemon daemon;
  EventStream silent(daemon.events());
  EXPECT_EQ(silent.notice()["next-seq"], 1);
  publish(daemon, 2);
  EXPECT_EQ(silent.line().value_or(json())["data"]["memfail"]["seq"], 1);
  EXPECT_EQ(silent.line().value_or(json())["data"]["memfail"]["seq"], 2);
}

TEST(Readers, ASlowOneIsCutOffAndGoesOnWithNothingMissingOrDoubled) {
  const Daemon daemon;
  EventStream slow(daemon.events(), "{\"since\":0}\n");
  EXPECT_EQ(slow.notice()["next-seq"], 1);
  publish(daemon, kKept + 1100);  // more than memory and all buffers on the way
  std::vector<json> lines = slow.rest();
  const json last = lines.back()["memfaild"];
  ASSERT_TRUE(last.contains("cut-off")) << last;
  json request{{"since", last["resume-from"]}, {"journal", last["journal"]}, {"follow", false}};
  EventStream again(daemon.events(), request.dump() + "\n");
  for (json& line : again.rest()) lines.push_back(std::move(line));
  EXPECT_EQ(told_or_gone(lines), kKept + 1101);
  EXPECT_TRUE(lines.back()["memfaild"].contains("end"));
}

TEST(Readers, ASlowOneHoldsUpNoOther) {
  const Daemon daemon;
  EventStream slow(daemon.events(), "{\"since\":0}\n");
  EventStream quick(daemon.events(), "{\"since\":0}\n");
  quick.notice();
  publish(daemon, 1000);
  for (int i = 1; i <= 1000; ++i) {
    ASSERT_EQ(quick.line().value_or(json())["data"]["memfail"]["seq"], i);
  }
}

TEST(Readers, AllThereIsComesAsFastAsItIsRead) {
  const Daemon daemon;
  publish(daemon, 500);
  EventStream all(daemon.events(), "{\"since\":0,\"follow\":false}\n");
  EXPECT_EQ(told_or_gone(all.rest()), 501U);
}

TEST(Readers, GetTheVmsAndReasonsThatTheyAskedFor) {
  const Daemon daemon;
  Peer db(daemon.vms());
  Peer web(daemon.vms());
  ASSERT_TRUE(db.attach({.session = {1, 1}, .uuid = "uuid-of-db", .name = "db1"}));
  ASSERT_TRUE(web.attach({.session = {2, 2}, .uuid = "uuid-of-web", .name = "web1"}));
  EventStream all(daemon.events(), "{\"since\":0}\n");
  EventStream dbs(daemon.events(), "{\"since\":0,\"vm\":\"db*\"}\n");
  EventStream webs(daemon.events(), "{\"since\":0,\"vm\":[\"nobody\",\"uuid-of-web\"]}\n");
  EventStream policies(daemon.events(), "{\"since\":0,\"reason\":[\"policy-changed\"]}\n");
  for (EventStream* stream : {&all, &dbs, &webs, &policies}) stream->notice();
  lose_a_report(db);
  ASSERT_EQ(all.line().value_or(json())["data"]["memfail"]["vm"]["name"], "db1");
  lose_a_report(web);
  ASSERT_EQ(all.line().value_or(json())["data"]["memfail"]["vm"]["name"], "web1");
  publish(daemon, 1);
  EXPECT_EQ(dbs.line().value_or(json())["data"]["memfail"]["seq"], 1);
  EXPECT_EQ(webs.line().value_or(json())["data"]["memfail"]["seq"], 2);
  EXPECT_EQ(policies.line().value_or(json())["data"]["memfail"]["seq"], 3);
  lose_a_report(db);
  EXPECT_EQ(dbs.line().value_or(json())["data"]["memfail"]["seq"], 4);
}

TEST(Readers, APlaceThatHasNotHappenedIsAnsweredAtOnce) {
  const Daemon daemon;
  publish(daemon, 2);
  EventStream stream(daemon.events(), "{\"since\":9,\"follow\":true}\n");
  const std::vector<json> lines = stream.rest();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[1]["memfaild"]["next-seq"], 3);
  EXPECT_THAT(lines[1]["memfaild"]["error"].get<std::string>(), HasSubstr("taken are 0"));
}

TEST(Readers, AWrongFirstLineIsAnsweredWithWhatIsAccepted) {
  const Daemon daemon;
  EventStream wrong(daemon.events(), "{\"reason\":\"storms\"}\n");
  const std::vector<json> lines = wrong.rest();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[1]["memfaild"]["accepted"], Contains("storm"));
  EventStream nonsense(daemon.events(), "GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(nonsense.rest().back()["memfaild"]["error"].get<std::string>(), HasSubstr("like {"));
}

TEST(Readers, TheOneTooManyIsToldAndAnotherMayComeWhenOneWasCutOff) {
  const Daemon daemon;
  std::vector<std::unique_ptr<EventStream>> streams;
  for (int i = 0; i < 64; ++i) {
    streams.push_back(std::make_unique<EventStream>(daemon.events(), "{\"since\":0}\n"));
    ASSERT_TRUE(streams.back()->notice().contains("next-seq"));
  }
  EXPECT_THAT(EventStream(daemon.events()).notice()["error"].get<std::string>(),
              HasSubstr("64 readers are connected"));
  // Nobody reads any more: all are cut off, and their places are free.
  publish(daemon, kKept + 1100);
  EventStream next(daemon.events(), "{\"since\":0,\"follow\":false}\n");
  EXPECT_EQ(next.rest().size(), kKept + 2);
}

}  // namespace
}  // namespace memfail::test
