// SPDX-License-Identifier: BSD-3-Clause
//
// What memfaild itself may run out of: descriptors, and somebody who reads its log.
#include <gtest/gtest.h>

#include <vector>

#include "daemon.h"
#include "tests/hostile/bystander.h"

namespace memfail::hostile {
namespace {

using test::Daemon;
using test::Peer;

TEST(Descriptors, ThatRunOutAreSaidAndTakeNobodyAlong) {
  const Daemon daemon({}, "descriptors=64");
  Bystander bystander(daemon.vms());
  ASSERT_TRUE(bystander.attached()) << daemon.log();
  std::vector<Peer> greedy;
  for (std::uint64_t i = 0; i < 64; ++i) {
    greedy.emplace_back(daemon.vms());
    if (!greedy.back().attach({.session = {i, 3}, .name = "greedy"})) break;
  }
  EXPECT_LT(greedy.size(), 64U);
  EXPECT_TRUE(daemon.log_has("descriptors")) << daemon.log();
  EXPECT_EQ(bystander.serve(100).unanswered, 0);
  for (Peer& peer : greedy) peer.send_goodbye();
  greedy.clear();
  EXPECT_TRUE(test::eventually(
      [&] { return Peer(daemon.vms()).attach({.session = {100, 3}, .name = "next"}); }));
}

TEST(Connections, ThatComeTooFastAreRefusedForAWhile) {
  const Daemon daemon;
  Bystander bystander(daemon.vms());
  ASSERT_TRUE(bystander.attached());
  bool refused = false;
  for (int i = 0; i < 20'000 && !refused; ++i) {
    Peer peer(daemon.vms());
    peer.send_commit(1, 0);
    refused = peer.receive().bytes.empty();  // not even an error
  }
  EXPECT_TRUE(refused);
  EXPECT_TRUE(daemon.log_has("too many of them lately"));
  EXPECT_EQ(bystander.serve(100).unanswered, 0);
  EXPECT_TRUE(test::eventually(
      [&] { return Peer(daemon.vms()).attach({.session = {100, 3}, .name = "next"}); }));
}

TEST(Log, ThatNobodyReadsHoldsNobodyUp) {
  const Daemon daemon({}, "unread-log");
  ASSERT_TRUE(test::eventually([&] { return !test::nobody_listens(daemon.vms()); }));
  Bystander bystander(daemon.vms());
  ASSERT_TRUE(bystander.attached());
  // A line each, some 200 bytes: the pipe takes 64 KiB.
  for (int i = 0; i < 1000; ++i) {
    Peer peer(daemon.vms());
    peer.send_commit(1, 0);
    ASSERT_EQ(peer.receive().error_code(), wire::ErrorCode::out_of_state) << i;
  }
  EXPECT_EQ(bystander.serve(100).unanswered, 0);
}

}  // namespace
}  // namespace memfail::hostile
