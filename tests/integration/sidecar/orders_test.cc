// SPDX-License-Identifier: BSD-3-Clause
//
// Drills and injections through a real memfaild and memfailctl, the VMM's side written
// by hand.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "daemon.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "peer.h"

namespace memfail::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using wire::DecidedBy;
using wire::OperatorRefusal;
using wire::Verdict;

constexpr std::uint64_t kBoth = 3;
constexpr std::uint64_t kHva = 0x7f0000005000;  // guest 0x5000 in the peer's region
constexpr int kActionRequired = 4;

// A memfailctl that runs, and what it says.
class Memfailctl {
 public:
  explicit Memfailctl(std::vector<std::string> words) {
    int out[2];
    EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
    output_.reset(out[0]);
    const shm::UniqueFd input(out[1]);
    words.insert(words.begin(), MEMFAILCTL_PATH);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::dup2(input.get(), STDOUT_FILENO);
    ::dup2(input.get(), STDERR_FILENO);
    ::execv(MEMFAILCTL_PATH, argv.data());
    ::_exit(127);
  }
  Memfailctl(const Memfailctl&) = delete;
  Memfailctl& operator=(const Memfailctl&) = delete;
  ~Memfailctl() {
    if (pid_ > 0) kill();
  }
  void kill() {
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  // All of it, and the exit status.
  std::string said(int& status) {
    std::string text;
    char bytes[4096];
    for (ssize_t got = 0; (got = ::read(output_.get(), bytes, sizeof bytes)) > 0;) {
      text.append(bytes, static_cast<std::size_t>(got));
    }
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    status = WEXITSTATUS(status);
    return text;
  }

 private:
  pid_t pid_ = -1;
  shm::UniqueFd output_;
};

class Orders : public ::testing::Test {
 protected:
  std::vector<std::string> drill_words(const std::string& vm = "vm1") const {
    return {"drill", "--vm", vm, "--gpa", "0x5000", "--kind", "ar", "--socket", daemon_.ctl()};
  }
  std::unique_ptr<Memfailctl> drill(const std::string& vm = "vm1") const {
    return std::make_unique<Memfailctl>(drill_words(vm));
  }
  // That memfailctl fails with this line.
  static void expect_refused(Memfailctl& ctl, const std::string& line) {
    int status = -1;
    EXPECT_EQ(ctl.said(status), "memfailctl: " + line + "\n");
    EXPECT_EQ(status, 1);
  }
  void expect_refused(const std::string& vm, const std::string& line) const {
    expect_refused(*drill(vm), line);
  }
  std::string asked(const json& question) const {
    const json answer = json::parse(stream_line(daemon_.ctl(), question.dump() + "\n"));
    return answer.value("error", "");
  }
  // The order as the VMM gets it, by its message's id.
  static std::uint64_t take_order(Peer& peer, wire::Body body) {
    const Answer order = peer.receive();
    if (order.message() == nullptr || order.message()->body_type() != body) return 0;
    return order.message()->id();
  }
  // The incident of a drill, to its end.
  static void play(Peer& peer, const shm::Claim& claim) {
    peer.commit_report(claim, kHva, kActionRequired, 1, true);
    peer.commit_snapshot(claim);
    peer.ring();
    ASSERT_TRUE(peer.wait_reply(claim));
    peer.commit_outcome(claim, Verdict::inject, DecidedBy::sidecar);
    peer.ring();
    ASSERT_TRUE(peer.wait_retired(claim));
  }

  Daemon daemon_;
};

TEST_F(Orders, ADrillIsPutToTheVmAndItsEventIsShown) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach({.features = kBoth}));
  auto words = drill_words();
  words.emplace_back("--json");
  Memfailctl ctl(words);
  const Answer order = peer.receive();
  ASSERT_NE(order.message(), nullptr);
  const wire::Drill* body = order.message()->body_as_Drill();
  ASSERT_NE(body, nullptr);
  EXPECT_EQ(body->gpa(), 0x5000U);
  EXPECT_EQ(body->kind(), wire::DrillKind::action_required);
  EXPECT_EQ(body->vcpu(), 0U);
  const shm::Claim claim = *peer.claim(0);
  peer.send_order_answer(order.message()->id(), claim);
  EXPECT_TRUE(peer.receive().is_ack());
  play(peer, claim);
  int status = -1;
  std::istringstream said(ctl.said(status));
  EXPECT_EQ(status, 0);
  std::string line;
  ASSERT_TRUE(std::getline(said, line));
  EXPECT_EQ(json::parse(line)["accepted"]["vm"], "vm1");
  ASSERT_TRUE(std::getline(said, line));
  const json details = json::parse(line)["data"]["memfail"];
  EXPECT_EQ(details["drill"], true);
  EXPECT_EQ(details["gpa"], "0x5000");
  EXPECT_EQ(details["sequence"], 1);
}

TEST_F(Orders, AnEventThatComesBeforeTheAnswerIsShownToo) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach({.features = kBoth}));
  const auto ctl = drill();
  const std::uint64_t id = take_order(peer, wire::Body::Drill);
  ASSERT_NE(id, 0U);
  const shm::Claim claim = *peer.claim(0);
  play(peer, claim);
  peer.send_order_answer(id, claim);
  int status = -1;
  EXPECT_THAT(ctl->said(status), HasSubstr("drill: "));
  EXPECT_EQ(status, 0);
}

TEST_F(Orders, AnInjectionCarriesAllThatWasGiven) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach({.features = kBoth}));
  Memfailctl ctl({"inject", "--vm", "vm1", "--cpu", "1", "--bank", "200", "--status",
                  "0xbd80000000000134", "--mcg-status", "7", "--addr", "0x3000", "--misc", "0x8c",
                  "--broadcast", "--socket", daemon_.ctl()});
  const Answer order = peer.receive();
  ASSERT_NE(order.message(), nullptr);
  const wire::Inject* body = order.message()->body_as_Inject();
  ASSERT_NE(body, nullptr);
  EXPECT_EQ(body->vcpu(), 1U);
  EXPECT_EQ(body->bank(), 200U);
  EXPECT_EQ(body->status(), 0xBD80000000000134U);
  EXPECT_EQ(body->mcg_status(), 7U);
  EXPECT_EQ(body->addr(), 0x3000U);
  EXPECT_EQ(body->misc(), 0x8CU);
  EXPECT_TRUE(body->broadcast());
  peer.send_order_refusal(order.message()->id(), OperatorRefusal::bank, 200, 9);
  expect_refused(ctl, "VM 'vm1' refused: Invalid MCE bank number: 200; the last one is 9");
}

TEST_F(Orders, AVmThatIsNotTheOneIsNamed) {
  expect_refused("vm1", "VM 'vm1' is unknown; memfailctl status lists the 0 there are");
  Peer first(daemon_.vms());
  ASSERT_TRUE(first.attach({.features = kBoth}));
  Peer second(daemon_.vms());
  ASSERT_TRUE(second.attach({.session = {3, 4}, .features = kBoth}));
  expect_refused("vm1",
                 "VM 'vm1' is 2 sessions; give one of them as the VM: "
                 "00000000000000020000000000000001 00000000000000040000000000000003");
  const auto ctl = drill("00000000000000040000000000000003");
  EXPECT_NE(take_order(second, wire::Body::Drill), 0U);
}

TEST_F(Orders, AVmThatDidNotOptInIsLeftAlone) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach({.features = 2}));
  expect_refused("vm1", "the VM does not allow drills: its VMM did not opt in");
  const json status = json::parse(stream_line(daemon_.ctl(), "{\"command\":\"status\"}\n"));
  EXPECT_EQ(status["sessions"][0]["allows"], json::array({"injections"}));
}

TEST_F(Orders, AVmThatIsNotAttachedOrLeavesMeanwhileIsSaidSo) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach({.features = kBoth}));
  const auto ctl = drill();
  ASSERT_NE(take_order(peer, wire::Body::Drill), 0U);
  peer.hang_up();
  expect_refused(*ctl, "VM 'vm1' detached before its VMM answered");
  expect_refused("vm1", "VM 'vm1' is not attached now");
}

TEST_F(Orders, AVmThatEndsAfterItAcceptedIsSaidSo) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach({.features = kBoth}));
  const auto ctl = drill();
  const std::uint64_t id = take_order(peer, wire::Body::Drill);
  peer.send_order_answer(id, {{0, 0}, 1});
  EXPECT_TRUE(peer.receive().is_ack());
  peer.send_goodbye();
  int status = -1;
  EXPECT_THAT(ctl->said(status), HasSubstr("VM 'vm1' is gone, no event will come"));
  EXPECT_EQ(status, 1);
}

// The VMM did it, and ended before it could say so.
TEST_F(Orders, AnEventIsShownWhoseVmLeftWithoutAnAnswer) {
  for (const bool goodbye : {true, false}) {
    Peer peer(daemon_.vms());
    ASSERT_TRUE(peer.attach({.session = {5, goodbye ? 6U : 7U}, .features = kBoth}));
    const auto ctl = drill();
    ASSERT_NE(take_order(peer, wire::Body::Drill), 0U);
    play(peer, *peer.claim(0));
    if (goodbye) {
      peer.send_goodbye();
    } else {
      peer.hang_up();
    }
    int status = -1;
    EXPECT_THAT(ctl->said(status), HasSubstr("drill: ")) << goodbye;
    EXPECT_EQ(status, 0) << goodbye;
  }
}

TEST_F(Orders, OneAtATimeAndAnOperatorMayLeave) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach({.features = kBoth}));
  const auto first = drill();
  const std::uint64_t id = take_order(peer, wire::Body::Drill);
  ASSERT_NE(id, 0U);
  expect_refused("vm1", "the VMM has not answered what it was asked before; try again");
  first->kill();
  peer.send_order_refusal(id, OperatorRefusal::not_in_ram, 0x5000);
  EXPECT_TRUE(peer.receive().is_ack());
  const auto second = drill();
  const std::uint64_t next = take_order(peer, wire::Body::Drill);
  peer.send_order_refusal(next, OperatorRefusal::not_in_ram, 0x5000);
  expect_refused(*second, "VM 'vm1' refused: guest address 0x5000 is outside the VM's RAM");
}

TEST_F(Orders, AnAnswerToNothingEndsThatSessionOnly) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach({.features = kBoth}));
  peer.send_order_answer(1, {{0, 0}, 1});
  EXPECT_EQ(peer.receive().error_code(), wire::ErrorCode::out_of_state);
  Peer other(daemon_.vms());
  EXPECT_TRUE(other.attach({.session = {3, 4}}));
}

TEST_F(Orders, WhatIsNoRequestIsRefusedWithTheMember) {
  EXPECT_EQ(asked({{"command", "drill"}}), "'vm' is missing, or is no text");
  EXPECT_EQ(asked({{"command", "drill"}, {"vm", "a"}, {"kind", "ar"}}), "'gpa' is missing");
  EXPECT_EQ(asked({{"command", "drill"}, {"vm", "a"}, {"gpa", "0xG"}, {"kind", "ar"}}),
            "'gpa' is \"0xG\"; it must be 0 to 18446744073709551615");
  EXPECT_EQ(asked({{"command", "drill"}, {"vm", "a"}, {"gpa", 1}, {"kind", "xx"}}),
            "'kind' is 'xx'; it must be ar or ao");
  EXPECT_EQ(asked({{"command", "inject"},
                   {"vm", "a"},
                   {"cpu", 0},
                   {"bank", 256},
                   {"status", 0},
                   {"mcg-status", 0},
                   {"addr", 0},
                   {"misc", 0}}),
            "'bank' is 256; it must be 0 to 255");
}

}  // namespace
}  // namespace memfail::test
