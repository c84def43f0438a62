// SPDX-License-Identifier: BSD-3-Clause
//
// What survives: a real memfaild with a real front and a real journal, killed by a real
// SIGKILL, ended by SIGTERM, and on a file system that does not answer.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "daemon.h"
#include "event_stream.h"
#include "frozen_disk.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "peer.h"

namespace memfail::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using wire::DecidedBy;
using wire::Verdict;

constexpr std::uint64_t kHva = 0x7f0000000000;
constexpr int kActionRequired = 4;

std::string make_folder(const char* pattern) {
  std::string path = pattern;
  return ::mkdtemp(path.data()) == nullptr ? "" : path;
}

// A folder on a tmpfs, for the front.
class Folder {
 public:
  explicit Folder(const char* pattern) : path_(make_folder(pattern)) {}
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class Records : public ::testing::Test {
 protected:
  void start(std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--front", memory_ / "front"});
    daemon_ = std::make_unique<Daemon>(std::move(more));
    ASSERT_TRUE(daemon_->log_has("listening on")) << daemon_->log();
  }
  void kill_it() {
    daemon_->signal(SIGKILL);
    daemon_->wait();
  }
  // A report of its own page each time, so that none is a repeat.
  shm::Claim ask(Peer& peer) {
    const shm::Claim claim = *peer.claim(0);
    peer.commit_report(claim, kHva + 0x1000 * ++pages_, kActionRequired);
    peer.commit_snapshot(claim);
    peer.ring();
    return claim;
  }
  void answer(Peer& peer, const shm::Claim& claim) {
    peer.commit_outcome(claim, Verdict::inject, DecidedBy::sidecar);
    peer.ring();
    ASSERT_TRUE(peer.wait_retired(claim));
  }
  // All the events there are now.
  std::vector<json> events() {
    std::vector<json> out;
    EventStream stream(daemon_->events(), R"({"since":0,"follow":false})"
                                          "\n");
    for (const json& line : stream.rest()) {
      if (line.contains("event")) out.push_back(line["data"]["memfail"]);
    }
    return out;
  }
  std::string journal_id() {
    return EventStream(daemon_->events()).notice()["journal"].get<std::string>();
  }

  Folder memory_{"/dev/shm/memfaild-test-XXXXXX"};
  std::unique_ptr<Daemon> daemon_;
  std::uint64_t pages_ = 0;
};

TEST_F(Records, AnEventSurvivesSigkillUnderItsSeq) {
  start();
  Peer peer(daemon_->vms());
  ASSERT_TRUE(peer.attach());
  answer(peer, ask(peer));
  const auto before = events();
  ASSERT_EQ(before.size(), 1U);
  const std::string journal = journal_id();
  kill_it();
  start();
  EXPECT_EQ(events(), before);
  EXPECT_EQ(journal_id(), journal);
}

// A VMM in a process of its own, with a socket to the test at its other end.
class OwnVmm {
 public:
  explicit OwnVmm(const std::function<void(int test)>& live) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(ends[0]);
      live(ends[1]);
      ::_exit(0);
    }
    vmm_.reset(ends[0]);
    ::close(ends[1]);
  }
  OwnVmm(const OwnVmm&) = delete;
  OwnVmm& operator=(const OwnVmm&) = delete;
  ~OwnVmm() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  bool is_ready() const {
    char byte = 0;
    return ::read(vmm_.get(), &byte, 1) == 1;
  }
  // Returns when its end can be seen, before anybody has reaped it.
  void tell_and_see_die(const std::string& words) const {
    EXPECT_EQ(::write(vmm_.get(), words.data(), words.size()), std::ssize(words));
    siginfo_t end{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(pid_), &end, WEXITED | WNOWAIT), 0);
  }

 private:
  pid_t pid_ = -1;
  shm::UniqueFd vmm_;
};

TEST_F(Records, AVmThatDiesWithItsHelloUnreadIsToldOnce) {
  start();
  const OwnVmm vmm([&](int test) {
    Peer first(daemon_->vms());
    if (!first.attach()) return;
    const shm::Claim claim = ask(first);
    if (!first.wait_reply(claim) || ::write(test, "", 1) != 1) return;
    char path[256];
    const ssize_t size = ::read(test, path, sizeof path);
    if (size <= 0) return;
    Peer second(std::string(path, static_cast<std::size_t>(size)));
    second.adopt(first);
    second.commit_outcome(claim, Verdict::inject, DecidedBy::sidecar);
    HelloFields fields;
    fields.resume_key = first.resume_key;
    second.send_hello(fields);
  });
  ASSERT_TRUE(vmm.is_ready());
  kill_it();
  start();
  ASSERT_TRUE(daemon_->log_has("is on record and runs"));
  daemon_->signal(SIGSTOP);  // its end and its hello are there at the same time
  vmm.tell_and_see_die(daemon_->vms());
  daemon_->signal(SIGCONT);
  EXPECT_TRUE(daemon_->log_has("VM 'vm1' exited"));
  const std::vector<json> told = events();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0]["verdict"], "inject");
  EXPECT_EQ(told[0]["delivered"], "delivered");
}

TEST_F(Records, AVerdictThatWasGivenIsGivenAgainAndHasOneEvent) {
  start();
  Peer first(daemon_->vms());
  ASSERT_TRUE(first.attach());
  const shm::Claim claim = ask(first);
  const auto given = first.wait_reply(claim);
  ASSERT_TRUE(given);
  kill_it();
  start();
  Peer second(daemon_->vms());
  second.adopt(first);
  HelloFields fields;
  fields.resume_key = first.resume_key;
  ASSERT_TRUE(second.attach(fields));
  const auto again = second.wait_reply(claim);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->verdict(), given->verdict());
  EXPECT_EQ(again->bank(), given->bank());
  answer(second, claim);
  ASSERT_EQ(events().size(), 1U);
  EXPECT_EQ(events()[0]["sequence"], claim.n);
}

// Its session ended by a breach before its report was looked at; then both die.
TEST_F(Records, WhatWasCommittedAtABreachIsToldByTheNextSidecar) {
  start();
  const OwnVmm vmm([&](int test) {
    Peer peer(daemon_->vms());
    if (!peer.attach()) return;
    const shm::Claim claim = *peer.claim(0);
    peer.commit_report(claim, kHva + 0x1000, kActionRequired);
    peer.commit_snapshot(claim);  // and no ring
    peer.send_raw({std::byte{1}});
    char end = 0;
    if (peer.receive().error_code() != wire::ErrorCode::malformed) return;
    if (::write(test, "", 1) == 1) (void)!::read(test, &end, 1);
  });
  ASSERT_TRUE(vmm.is_ready());
  kill_it();
  vmm.tell_and_see_die("x");
  start();
  ASSERT_TRUE(daemon_->log_has("inject by sidecar")) << daemon_->log();
  const std::vector<json> told = events();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0]["reason"], "vmm-exited");
  EXPECT_EQ(told[0]["verdict"], "inject");
}

TEST_F(Records, NobodyElseComesBackToASessionThatIsOnRecord) {
  start();
  Peer first(daemon_->vms());
  ASSERT_TRUE(first.attach());
  answer(first, ask(first));
  kill_it();
  start();
  Peer stranger(daemon_->vms());
  HelloFields fields;
  fields.resume_key = wire::Id128(6, 6);
  stranger.make_descriptors(fields);
  stranger.send_hello(fields);
  EXPECT_EQ(stranger.receive().error_code(), wire::ErrorCode::resume_key);
}

// The records may be put back one day, and have the key that was given then.
TEST_F(Records, AVmKeepsItsKeyAtASidecarThatHasNoRecordOfIt) {
  start();
  Peer first(daemon_->vms());
  ASSERT_TRUE(first.attach());
  answer(first, ask(first));
  kill_it();
  const std::string aside = memory_ / "front.aside";
  std::filesystem::rename(memory_ / "front", aside);
  start();
  Peer second(daemon_->vms());
  second.adopt(first);
  ASSERT_TRUE(second.attach({.resume_key = first.resume_key}));
  EXPECT_EQ(second.resume_key.low(), first.resume_key.low());
  EXPECT_EQ(second.resume_key.high(), first.resume_key.high());
  kill_it();
  std::filesystem::rename(aside, memory_ / "front");
  start();
  Peer third(daemon_->vms());
  third.adopt(second);
  EXPECT_TRUE(third.attach({.resume_key = second.resume_key}));
}

TEST_F(Records, AnEventIsDurableWithAJournalAndOutlivesTheFront) {
  const Folder disk("/tmp/memfaild-test-XXXXXX");
  const std::vector<std::string> with_journal{"--journal", disk.path(),      "--journal-files",
                                              "3",         "--journal-size", "65536"};
  start(with_journal);
  EventStream live(daemon_->events(), R"({"since":0})"
                                      "\n");
  (void)live.line();  // the header
  Peer peer(daemon_->vms());
  ASSERT_TRUE(peer.attach());
  answer(peer, ask(peer));
  const auto told = live.line();
  ASSERT_TRUE(told);
  EXPECT_EQ((*told)["data"]["memfail"]["durable"], true);
  peer.send_goodbye();
  const std::string journal = journal_id();
  daemon_->signal(SIGTERM);
  EXPECT_EQ(daemon_->wait(), 0);
  std::filesystem::remove(memory_ / "front");  // as after a boot
  start(with_journal);
  EXPECT_EQ(journal_id(), journal);
  EventStream again(daemon_->events(), R"({"since":0})"
                                       "\n");
  (void)again.line();  // the header
  const auto kept = again.line();
  ASSERT_TRUE(kept);
  EXPECT_EQ((*kept)["data"]["memfail"]["sequence"], 1U);
}

TEST_F(Records, TheJournalHasOneOwner) {
  const Folder disk("/tmp/memfaild-test-XXXXXX");
  start({"--journal", disk.path()});
  const Ended second = run_memfaild({"--socket-path", memory_ / "other.sock", "--front",
                                     memory_ / "other.front", "--journal", disk.path()});
  EXPECT_NE(second.status, 0);
  EXPECT_THAT(second.error_output, HasSubstr(disk.path()));
  EXPECT_THAT(second.error_output, HasSubstr(std::to_string(daemon_->pid())));
}

// ---- a disk that does not answer -----------------------------------------------------

// Whether nobody holds the lock of this file.
bool is_free(const std::string& path) {
  const shm::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct flock region{};
  region.l_type = F_WRLCK;
  region.l_whence = SEEK_SET;
  return ::fcntl(fd.get(), F_OFD_SETLK, &region) == 0;
}

class HungDisk : public Records {
 protected:
  void SetUp() override {
    if (!disk_.make()) GTEST_SKIP() << "no loop mount here: needs root and a loop device";
    std::filesystem::create_directory(disk_.at() + "/journal");
    std::filesystem::permissions(disk_.at() + "/journal", std::filesystem::perms::owner_all);
    with_journal_ = {"--journal", disk_.at() + "/journal", "--journal-files",
                     "3",         "--journal-size",        "1048576"};
    start(with_journal_);
    peer_ = std::make_unique<Peer>(daemon_->vms());
    ASSERT_TRUE(peer_->attach());
    answer(*peer_, ask(*peer_));
    // The thread has found its files, and nothing is under way to them.
    ASSERT_TRUE(eventually([&] { return events().back()["durable"] == true; }));
  }

  void TearDown() override {
    disk_.thaw();
    peer_.reset();
    daemon_.reset();  // before its disk
  }

  FrozenDisk disk_;
  std::vector<std::string> with_journal_;
  std::unique_ptr<Peer> peer_;
};

TEST_F(HungDisk, VerdictsGoOnAndItIsSaid) {
  ASSERT_TRUE(disk_.freeze());
  for (int i = 0; i < 40; ++i) {  // fewer than a storm
    const shm::Claim claim = ask(*peer_);
    const auto reply = peer_->wait_reply(claim);
    ASSERT_TRUE(reply) << i;
    EXPECT_EQ(reply->flags(), 1) << "it is in the front";
    answer(*peer_, claim);
  }
  EXPECT_TRUE(daemon_->log_has("DEGRADED: the disk does not answer"));
  const auto meanwhile = events();  // told all the same
  ASSERT_EQ(meanwhile.size(), 41U);
  EXPECT_EQ(meanwhile.back()["durable"], false);
  Peer other(daemon_->vms());
  HelloFields fields;
  fields.session = wire::Id128(3, 4);
  EXPECT_TRUE(other.attach(fields)) << "a new VM attaches as ever";
  disk_.thaw();
  EXPECT_TRUE(daemon_->log_has("well again"));
  const auto afterwards = events();
  ASSERT_EQ(afterwards.size(), 42U);
  EXPECT_EQ(afterwards[40]["durable"], true);
  EXPECT_EQ(afterwards[41]["reason"], "records-at-risk");
  EXPECT_EQ(afterwards[41]["count"], 40);
}

TEST_F(HungDisk, SigtermFreesAllThatOthersCouldWaitFor) {
  ASSERT_TRUE(disk_.freeze());
  answer(*peer_, ask(*peer_));
  daemon_->signal(SIGTERM);
  EXPECT_TRUE(daemon_->log_has("waits for the disk of"));
  // The thread is in the kernel, where nothing ends it; front and sockets are free.
  EXPECT_TRUE(is_free(memory_ / "front"));
  EXPECT_TRUE(nobody_listens(daemon_->vms()));
  EXPECT_TRUE(peer_->receive().bytes.empty()) << "its VM sees that nobody is there any more";
  disk_.thaw();
  EXPECT_EQ(daemon_->wait(), 0);
  start(with_journal_);
  // What was in the front comes to the disk; the start makes sure of its newest file first.
  EventStream stream(daemon_->events(), R"({"since":0})"
                                        "\n");
  (void)stream.line();  // the header
  for (std::uint64_t seq = 1; seq <= 2; ++seq) {
    const auto told = stream.line();
    ASSERT_TRUE(told);
    EXPECT_EQ((*told)["data"]["memfail"]["seq"], seq);
  }
}

}  // namespace
}  // namespace memfail::test
