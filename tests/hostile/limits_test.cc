// SPDX-License-Identifier: BSD-3-Clause
//
// What memfaild itself may run out of: descriptors, and somebody who reads its log.
#include <gtest/gtest.h>

#include <signal.h>
#include <unistd.h>

#include <vector>

#include "daemon.h"
#include "tests/hostile/attack.h"
#include "tests/hostile/bystander.h"
#include "tests/integration/shm/child.h"

namespace memfail::hostile {
namespace {

using shm::testing::Child;
using test::Daemon;
using test::Peer;

TEST(Descriptors, ThatRunOutAreSaidAndTakeNobodyAlong) {
  const Daemon daemon({"--sessions-per-uid", "64"}, "descriptors=64");
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

TEST(Sessions, OfOneUserLeaveRoomForOthers) {
  const Daemon daemon({}, "descriptors=64");  // ten of three descriptors each
  std::vector<Peer> greedy;
  for (std::uint64_t i = 0; i < 10; ++i) {
    greedy.emplace_back(daemon.vms());
    ASSERT_TRUE(greedy.back().attach({.session = {i, 3}, .name = "greedy"})) << i;
  }
  Peer one_more(daemon.vms());
  const test::HelloFields fields{.session = {10, 3}, .name = "greedy"};
  one_more.make_descriptors(fields);
  one_more.send_hello(fields);
  const test::Answer refused = one_more.receive();
  ASSERT_EQ(refused.error_code(), wire::ErrorCode::limit);
  EXPECT_EQ(refused.error()->field()->str(), "sessions of uid " + std::to_string(::getuid()));
  EXPECT_EQ(refused.error()->value(), 11U);
  EXPECT_EQ(refused.error()->limit(), 10U);
  // Who has hung up gives way.
  greedy.front().hang_up();
  EXPECT_TRUE(daemon.log_has("detached"));
  EXPECT_TRUE(Peer(daemon.vms()).attach({.session = {11, 3}, .name = "next"})) << daemon.log();
  EXPECT_TRUE(daemon.log_has("has 10 sessions, the limit"));
}

// A file on FUSE whose server answers nothing holds the thread that closes it, and with it
// what is left of the process. Everything that others could wait for is gone before.
TEST(Descriptors, ThatCannotBeClosedHoldNobodyAtTheEnd) {
  Daemon daemon;
  Bystander bystander(daemon.vms());
  ASSERT_TRUE(bystander.attached());
  Child attacker([&] {
    ::setpgid(0, 0);
    send_files_that_hang(daemon.vms());
    return 0;
  });
  if (!daemon.log_has("too many descriptors that cannot be closed")) {
    ASSERT_TRUE(attacker.exited_with(kCannotBeMade)) << daemon.log();
    GTEST_SKIP() << "SKIPPED: this host mounts no FUSE for us";
  }
  daemon.signal(SIGTERM);
  EXPECT_TRUE(daemon.log_has("the closer thread waits for"));
  EXPECT_TRUE(test::nobody_listens(daemon.vms()));
  EXPECT_TRUE(bystander.is_hung_up());
  ::kill(-attacker.pid(), SIGKILL);
  EXPECT_EQ(daemon.wait(), 0) << daemon.log();
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
