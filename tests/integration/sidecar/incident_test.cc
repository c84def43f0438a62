// SPDX-License-Identifier: BSD-3-Clause
//
// Incidents through a real memfaild, the VMM's side written by hand.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "daemon.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "peer.h"

namespace memfail::test {
namespace {

using nlohmann::json;
using wire::DecidedBy;
using wire::Verdict;

constexpr std::uint64_t kHva = 0x7f0000005000;  // guest 0x5000 in the peer's region
constexpr int kActionRequired = 4;
constexpr const char* kAll = "{\"since\":0,\"follow\":true}\n";

// A process that does nothing but live: the VMM, as far as memfaild can see.
pid_t start_vmm() {
  const pid_t vmm = ::fork();
  if (vmm == 0) {
    ::pause();
    ::_exit(0);
  }
  return vmm;
}

class Incidents : public ::testing::Test {
 protected:
  // The nth event of the stream, from 0.
  json event(int n) { return json::parse(stream_line(daemon_.events(), kAll, n + 1)); }
  json details(int n) { return event(n)["data"]["memfail"]; }

  json pages() {
    return json::parse(stream_line(daemon_.ctl(), "{\"command\":\"pages\"}\n"))["pages"];
  }
  json status() {
    return json::parse(stream_line(daemon_.ctl(), "{\"command\":\"status\"}\n"))["sessions"];
  }

  // Report and snapshot; the answered claim.
  shm::Claim ask(Peer& peer, std::uint32_t lane = 0) {
    const shm::Claim claim = *peer.claim(lane);
    peer.commit_report(claim, kHva, kActionRequired);
    peer.commit_snapshot(claim);
    peer.ring();
    return claim;
  }

  Daemon daemon_;
};

TEST_F(Incidents, OneReportIsAnsweredPublishedAndRetired) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach());
  const shm::Claim claim = ask(peer);
  const auto reply = peer.wait_reply(claim);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->verdict(), Verdict::inject);
  EXPECT_EQ(reply->gpa(), 0x5000U);
  EXPECT_EQ(reply->status(), 0xBD80000000000134U);
  EXPECT_EQ(reply->flags(), 1);  // journaled
  peer.commit_outcome(claim, Verdict::inject, DecidedBy::sidecar);
  peer.ring();
  ASSERT_TRUE(peer.wait_retired(claim));
  const json told = event(0);
  EXPECT_EQ(told["event"], "MEMORY_FAILURE");
  EXPECT_EQ(told["data"]["recipient"], "guest");
  EXPECT_EQ(told["data"]["action"], "inject");
  EXPECT_EQ(told["data"]["flags"]["action-required"], true);
  EXPECT_EQ(told["data"]["memfail"]["gpa"], "0x5000");
  EXPECT_EQ(told["data"]["memfail"]["region"], "ram");
  EXPECT_EQ(told["data"]["memfail"]["decided-by"], "sidecar");
  EXPECT_EQ(told["data"]["memfail"]["bank"], 9);
  EXPECT_TRUE(daemon_.log_has("VM 'vm1': action-required at guest 0x5000"));
}

TEST_F(Incidents, AVerdictWaitsForTheSnapshotAndTheRegions) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach());
  const shm::Claim claim = *peer.claim(0);
  peer.commit_report(claim, kHva, kActionRequired, 2);  // a generation still to come
  peer.commit_snapshot(claim);
  peer.ring();
  ::usleep(50'000);
  EXPECT_EQ(shm::load_word(peer.reply().line(claim.id), 0), 0U);
  peer.send_commit(2, 1);
  EXPECT_TRUE(peer.wait_reply(claim));
}

TEST_F(Incidents, ManyInARowThroughAllCells) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach());
  for (int i = 0; i < 1000; ++i) {
    const shm::Claim claim = ask(peer, static_cast<std::uint32_t>(i) % 2);
    ASSERT_TRUE(peer.wait_reply(claim)) << i;
    peer.commit_outcome(claim, Verdict::inject, DecidedBy::sidecar);
    peer.ring();
    ASSERT_TRUE(peer.wait_retired(claim)) << i;
  }
  // One page: each vCPU's first has its event, the others are in the count of one
  // more, which the VM's end brings out.
  peer.send_goodbye();
  std::uint64_t counted = 0;
  for (int i = 0; i < 4; ++i) counted += details(i)["count"].get<std::uint64_t>();
  EXPECT_EQ(counted, 1000U);
}

TEST_F(Incidents, AFallbackIsPublishedWithoutAVerdictAndSaysLate) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach());
  const shm::Claim claim = ask(peer);
  ASSERT_TRUE(peer.wait_reply(claim));
  peer.commit_outcome(claim, Verdict::inject, DecidedBy::builtin);
  peer.ring();
  ASSERT_TRUE(peer.wait_retired(claim));
  EXPECT_EQ(details(0)["decided-by"], "builtin");
  EXPECT_EQ(details(0)["late"], true);
}

TEST_F(Incidents, AHangUpKeepsThemForTheNextAttach) {
  Peer first(daemon_.vms());
  ASSERT_TRUE(first.attach());
  const shm::Claim claim = ask(first);
  ASSERT_TRUE(first.wait_reply(claim));
  first.hang_up();
  ASSERT_TRUE(daemon_.log_has("detached; 1 incident(s) open"));
  EXPECT_EQ(status()[0]["state"], "detached");
  shm::keep_retired(first.request(), first.reply());

  Peer second(daemon_.vms());
  second.adopt(first);
  ASSERT_TRUE(second.attach({.resume_key = first.resume_key}));
  EXPECT_TRUE(second.resumed);
  ASSERT_TRUE(second.wait_reply(claim));  // given again, into the new area
  second.commit_outcome(claim, Verdict::inject, DecidedBy::sidecar);
  second.ring();
  ASSERT_TRUE(second.wait_retired(claim));
  EXPECT_EQ(details(0)["sequence"], 1);
}

TEST_F(Incidents, AnotherSidecarGoesOnFromWhatWasFreed) {
  Peer first(daemon_.vms());
  ASSERT_TRUE(first.attach());
  for (int i = 0; i < 6; ++i) {
    const shm::Claim claim = ask(first);
    ASSERT_TRUE(first.wait_reply(claim));
    first.commit_outcome(claim, Verdict::inject, DecidedBy::sidecar);
    first.ring();
    ASSERT_TRUE(first.wait_retired(claim));
  }
  const shm::Claim open = ask(first);
  ASSERT_TRUE(first.wait_reply(open));
  shm::keep_retired(first.request(), first.reply());

  const Daemon other;
  Peer second(other.vms());
  second.adopt(first);
  ASSERT_TRUE(second.attach({.resume_key = first.resume_key}));
  EXPECT_FALSE(second.resumed);
  ASSERT_TRUE(second.wait_reply(open));
  second.commit_outcome(open, Verdict::inject, DecidedBy::sidecar);
  second.ring();
  ASSERT_TRUE(second.wait_retired(open));
  const json told = json::parse(stream_line(other.events(), kAll, 1));
  EXPECT_EQ(told["data"]["memfail"]["sequence"], 7);
  EXPECT_EQ(told["data"]["memfail"]["seq"], 1);  // the six are not told twice
}

TEST_F(Incidents, AVmmThatExitsLeavesNothingUntold) {
  const pid_t vmm = start_vmm();
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach({}, vmm));
  const shm::Claim answered = ask(peer);
  ASSERT_TRUE(peer.wait_reply(answered));
  const shm::Claim done = ask(peer, 1);
  ASSERT_TRUE(peer.wait_reply(done));
  peer.commit_outcome(done, Verdict::inject, DecidedBy::sidecar);  // and no ring
  ASSERT_TRUE(peer.claim(1));                                      // never written
  ::kill(vmm, SIGKILL);
  ::waitpid(vmm, nullptr, 0);
  ASSERT_TRUE(daemon_.log_has("exited; "));
  EXPECT_EQ(details(0)["reason"], "guest-memory");
  EXPECT_EQ(details(1)["reason"], "vmm-exited");
  EXPECT_EQ(details(1)["verdict"], "inject");
  EXPECT_EQ(details(2)["reason"], "half-written");
  EXPECT_EQ(details(2)["count"], 1);
  EXPECT_TRUE(status().empty());
}

// Neither what was in its cells when its session ended by a breach, nor what came after.
TEST_F(Incidents, AVmmThatExitsAfterABreachLeavesNothingUntold) {
  const pid_t vmm = start_vmm();
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach({}, vmm));
  const shm::Claim unseen = *peer.claim(0);
  peer.commit_report(unseen, kHva, kActionRequired);
  peer.commit_snapshot(unseen);  // and no ring
  peer.send_raw({std::byte{1}});
  EXPECT_EQ(peer.receive().error_code(), wire::ErrorCode::malformed);
  const shm::Claim later = *peer.claim(1);
  peer.commit_report(later, kHva + 4096, kActionRequired);
  EXPECT_TRUE(status().empty());
  ::kill(vmm, SIGKILL);
  ::waitpid(vmm, nullptr, 0);
  ASSERT_TRUE(daemon_.log_has("exited; "));
  EXPECT_EQ(details(0)["reason"], "vmm-exited");
  EXPECT_EQ(details(0)["verdict"], "inject");
  EXPECT_EQ(details(1)["reason"], "vmm-exited");
  EXPECT_EQ(details(1)["sequence"], 1);
  EXPECT_EQ(details(1)["lane"], 1);
}

TEST_F(Incidents, ACellThatBreaksTheContractHidesNoOther) {
  const pid_t vmm = start_vmm();
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach({}, vmm));
  const shm::Claim broken = *peer.claim(0);
  shm::store_word(peer.request().line(broken.id, shm::LineKind::kReport), 0, 2);
  const shm::Claim good = *peer.claim(1);
  peer.commit_report(good, kHva, kActionRequired);
  peer.commit_snapshot(good);
  peer.ring();
  EXPECT_EQ(peer.receive().error_code(), wire::ErrorCode::area);
  ::kill(vmm, SIGKILL);
  ::waitpid(vmm, nullptr, 0);
  ASSERT_TRUE(daemon_.log_has("exited"));
  EXPECT_EQ(details(0)["reason"], "vmm-exited");
  EXPECT_EQ(details(0)["lane"], 1);
}

TEST_F(Incidents, LostReportsAreToldWithTheirCount) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach());
  shm::count_lost_report(peer.request());
  shm::count_lost_report(peer.request());
  peer.ring();
  EXPECT_EQ(details(0)["reason"], "lane-full");
  EXPECT_EQ(details(0)["count"], 2);
}

TEST_F(Incidents, ACommittedLineThatChangesEndsTheSession) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach());
  const shm::Claim claim = ask(peer);
  ASSERT_TRUE(peer.wait_reply(claim));
  peer.commit_report(claim, kHva + 4096, kActionRequired);
  peer.commit_outcome(claim, Verdict::inject, DecidedBy::sidecar);
  peer.ring();
  EXPECT_EQ(peer.receive().error_code(), wire::ErrorCode::area);
  EXPECT_TRUE(status().empty());
}

TEST_F(Incidents, ALineWithABrokenChecksumEndsTheSession) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach());
  const shm::Claim claim = *peer.claim(0);
  shm::store_word(peer.request().line(claim.id, shm::LineKind::kReport), 0, 2);
  peer.ring();
  EXPECT_EQ(peer.receive().error_code(), wire::ErrorCode::area);
}

TEST_F(Incidents, ManyVmsAtOnce) {
  constexpr std::uint64_t kVms = 100;
  std::vector<std::unique_ptr<Peer>> peers;
  for (std::uint64_t i = 0; i < kVms; ++i) {
    peers.push_back(std::make_unique<Peer>(daemon_.vms()));
    ASSERT_TRUE(peers.back()->attach({.session = {i + 1, 5}, .name = "vm" + std::to_string(i)}));
  }
  std::vector<shm::Claim> claims;
  for (const auto& peer : peers) claims.push_back(ask(*peer));
  for (std::uint64_t i = 0; i < kVms; ++i) ASSERT_TRUE(peers[i]->wait_reply(claims[i])) << i;
  EXPECT_EQ(status().size(), kVms);
}

// What a VMM lists that another sidecar served: the counts and times go on, and a page
// that a reset could not repair is as broken as before.
TEST_F(Incidents, TheTableOfBrokenPagesIsRebuiltWithItsHistory) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach());
  constexpr std::uint64_t kRam = 0x7f0000000000;
  constexpr std::uint64_t kFirst = 1'700'000'000'000'000, kLast = kFirst + 5'000'000;
  peer.send_pages(
      {{kRam + 0x3000, 0x3000, 4096, true, false, wire::Repair::none, 7, kFirst, kLast},
       {kRam + 0x5000, 0x5000, 4096, false, false, wire::Repair::pinned, 2, kFirst, kLast}});
  ASSERT_TRUE(peer.receive().is_ack());
  const json list = pages();
  ASSERT_EQ(list.size(), 2U) << list;
  EXPECT_EQ(list[0]["reports"], 7);
  EXPECT_EQ(list[0]["first-us"], kFirst);
  EXPECT_EQ(list[0]["last-us"], kLast);
  EXPECT_EQ(list[0]["told-pages"], 1);
  EXPECT_EQ(list[1]["gpa"], "0x5000");
  EXPECT_EQ(list[1]["repaired"], false);
  EXPECT_EQ(list[1]["reports"], 2);
}

}  // namespace
}  // namespace memfail::test
