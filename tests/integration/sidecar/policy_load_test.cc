// SPDX-License-Identifier: BSD-3-Clause
//
// memfailctl policy load, on a memfaild that serves a VM.
#include <algorithm>
#include <fstream>

#include "ctl_process.h"
#include "daemon.h"
#include "event_stream.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "peer.h"

namespace memfail::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using wire::Reason;
using wire::Verdict;

constexpr std::uint64_t kHva = 0x7f0000005000;  // guest 0x5000 in the peer's region
constexpr std::uint64_t kNextPage = 0x1000;
constexpr int kActionOptional = 5;

// FNV-1a of what docs/policy.md says a digest is made of, not by the code under test.
constexpr const char* kBuiltInDigest = "1f7cc7bd73a655b9";
constexpr const char* kRememberDigest = "20f9586f7ada8de3";
constexpr const char* kRemember = R"({"version": 1, "default": {"optional": "remember"}})";
constexpr const char* kPolicyEvents = "{\"since\":0,\"reason\":[\"policy-changed\"]}\n";

struct Said {
  int status = -1;
  std::string out, errors;
};

class PolicyLoad : public ::testing::Test {
 protected:
  std::string file(const std::string& text) const {
    std::string path = daemon_.directory() + "/policy.json";
    std::ofstream(path) << text;
    return path;
  }
  Said policy(const std::string& verb, const std::string& of, bool as_json = false) const {
    std::vector<std::string> words{"policy", verb, of, "--socket", daemon_.ctl()};
    if (as_json) words.emplace_back("--json");
    CtlProcess ctl(words);
    Said said;
    said.out = ctl.rest();
    said.status = ctl.status();
    said.errors = ctl.errors();
    return said;
  }
  json in_force(const std::string& vm) const {
    return json::parse(policy("show", vm, true).out, nullptr, false);
  }
  // A page that nobody has touched breaks; what memfaild makes of it.
  static std::optional<wire::ReplyLine> verdict_of(Peer& peer, std::uint64_t hva) {
    const shm::Claim claim = *peer.claim(0);
    peer.commit_report(claim, hva, kActionOptional);
    peer.commit_snapshot(claim);
    peer.ring();
    auto reply = peer.wait_reply(claim);
    peer.commit_outcome(claim, reply ? reply->verdict() : Verdict::none, wire::DecidedBy::sidecar);
    peer.ring();
    return reply;
  }

  Daemon daemon_;
};

TEST_F(PolicyLoad, PutsItInForceAndAnEventHasItsDigest) {
  EXPECT_EQ(in_force("vm1")["digest"], kBuiltInDigest);
  EventStream events(daemon_.events(), kPolicyEvents);
  events.notice();
  const std::string path = file(kRemember);
  const Said said = policy("load", path);
  EXPECT_EQ(said.status, 0) << said.errors;
  EXPECT_EQ(said.out, "policy " + path + " is in force, digest " + kRememberDigest + "\n");
  const json event = events.line().value_or(json());
  EXPECT_EQ(event["event"], "MEMORY_FAILURE");
  EXPECT_EQ(event["data"]["recipient"], "hypervisor");
  EXPECT_EQ(event["data"]["action"], "ignore");
  EXPECT_EQ(event["data"]["memfail"]["reason"], "policy-changed");
  EXPECT_EQ(event["data"]["memfail"]["policy-digest"], std::string("0x") + kRememberDigest);
  const json now = in_force("vm1");
  EXPECT_EQ(now["digest"], kRememberDigest);
  EXPECT_EQ(now["rules"]["optional"], "remember");
}

TEST_F(PolicyLoad, DecidesTheNextIncidentOfAVmThatIsThere) {
  Peer peer(daemon_.vms());
  ASSERT_TRUE(peer.attach());
  const auto before = verdict_of(peer, kHva);
  ASSERT_TRUE(before);
  EXPECT_EQ(before->verdict(), Verdict::inject);
  ASSERT_EQ(policy("load", file(kRemember)).status, 0);
  const auto after = verdict_of(peer, kHva + kNextPage);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->verdict(), Verdict::ignore);
  EXPECT_EQ(after->reason(), Reason::policy);
}

// Its fallback is to decide by it as well, when memfaild is gone.
TEST_F(PolicyLoad, IsSentToAVmThatTakesItWhileItIsAttached) {
  constexpr auto kLive = static_cast<std::uint64_t>(wire::Feature::live_rules);
  Peer live(daemon_.vms());
  Peer old(daemon_.vms());
  ASSERT_TRUE(live.attach({.session = {1, 1}, .features = kLive}));
  ASSERT_TRUE(old.attach({.session = {2, 2}}));
  ASSERT_EQ(policy("load", file(kRemember)).status, 0);
  const Answer said = live.receive();
  ASSERT_NE(said.message(), nullptr);
  const wire::Rules* rules = said.message()->body_as_Rules();
  ASSERT_NE(rules, nullptr);
  EXPECT_EQ(rules->rules()->optional(), 2) << "remember";
  old.send_vcpu_state(1);
  EXPECT_TRUE(old.receive().is_ack()) << "and nothing before it";
}

TEST_F(PolicyLoad, ChangesOnlyTheVmsItMatches) {
  Peer db(daemon_.vms());
  Peer web(daemon_.vms());
  ASSERT_TRUE(db.attach({.session = {1, 1}, .name = "db1"}));
  ASSERT_TRUE(web.attach({.session = {2, 2}, .name = "web1"}));
  const char* rules = R"({"version": 1, "vms": [{"name": "db*", "optional": "remember"}]})";
  ASSERT_EQ(policy("load", file(rules)).status, 0);
  EXPECT_EQ(verdict_of(db, kHva)->verdict(), Verdict::ignore);
  EXPECT_EQ(verdict_of(web, kHva)->verdict(), Verdict::inject);
  EXPECT_THAT(policy("show", "db1").out, HasSubstr("vms[0] \"db*\" decides"));
  EXPECT_THAT(policy("show", "web1").out, HasSubstr("no entry of vms matches"));
}

// The place is where the value stands; the one before stays, and no event says otherwise.
TEST_F(PolicyLoad, RefusesAWrongFileWholeWithThePlace) {
  ASSERT_EQ(policy("load", file(kRemember)).status, 0);
  const std::string path = file(
      "{\n  \"version\": 1,\n  \"default\": {\n    \"untold\": \"pause\",\n"
      "    \"repeat_limit\": 1\n  }\n}\n");
  const Said said = policy("load", path);
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(said.out, "");
  EXPECT_EQ(said.errors,
            "memfailctl: " + path + ":5:5: default.repeat_limit: 1: must be 2 to 1000\n");
  const json now = in_force("vm1");
  EXPECT_EQ(now["digest"], kRememberDigest);
  EXPECT_EQ(now["rules"]["untold"], "reset");
  EventStream events(daemon_.events(), "{\"since\":0,\"follow\":false}\n");
  const auto told = events.rest();
  EXPECT_EQ(std::ranges::count_if(told, [](const json& line) { return line.contains("event"); }),
            1);
}

TEST_F(PolicyLoad, SaysWhatIsExpectedWhereItIsNoJson) {
  const std::string path = file("{\"version\": 1,\n\"default\": {\"untold\" \"pause\"}}\n");
  const Said said = policy("load", path);
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.errors, HasSubstr(path + ":2:22: "));
  EXPECT_THAT(said.errors, HasSubstr("expected ':'"));
  EXPECT_EQ(in_force("vm1")["digest"], kBuiltInDigest);
}

TEST_F(PolicyLoad, SaysSoWhereThereIsNoFile) {
  const Said said = policy("load", daemon_.directory() + "/none.json");
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(said.errors,
            "memfailctl: " + daemon_.directory() + "/none.json: No such file or directory\n");
}

// Who asks need not have looked at the text: memfaild checks all of it again.
TEST_F(PolicyLoad, TakesNoBinaryOnTrust) {
  const auto asked = [&](const std::string& binary) {
    const json question = {{"command", "policy-load"}, {"name", "p"}, {"binary", binary}};
    const json answer = json::parse(stream_line(daemon_.ctl(), question.dump() + "\n"));
    return answer.value("error", "");
  };
  EXPECT_EQ(asked("zz"), "'binary' is not the hexadecimal form of a policy");
  EXPECT_THAT(asked("4d465030"), HasSubstr("refused, the policy in force stays"));
  EXPECT_EQ(in_force("vm1")["digest"], kBuiltInDigest);
}

}  // namespace
}  // namespace memfail::test
