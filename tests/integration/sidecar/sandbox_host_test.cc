// SPDX-License-Identifier: BSD-3-Clause
//
// Hosts that allow less than the sandbox asks for: `auto` names what is missing, with what
// to do about it, and serves; `strict` says the same words and refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "daemon.h"
#include "peer.h"

namespace memfail::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

struct Host {
  const char* profile;
  std::vector<const char*> missing;  // each with what to do
  std::vector<const char*> in_force;
  std::vector<const char*> strict_says;  // one of them: it stops at the first
};

std::ostream& operator<<(std::ostream& out, const Host& host) { return out << host.profile; }

class NarrowHost : public ::testing::TestWithParam<Host> {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "SKIPPED: a build with a sanitizer has no full sandbox";
  }
};

TEST_P(NarrowHost, AutoNamesWhatIsMissingAndServes) {
  const Daemon daemon({}, GetParam().profile);
  ASSERT_TRUE(daemon.log_has("listening on")) << daemon.log();
  const std::string log = daemon.log();
  const std::string missing = log.substr(log.find("MISSING:"));
  for (const char* text : GetParam().missing) EXPECT_THAT(missing, HasSubstr(text));
  for (const char* layer : GetParam().in_force) EXPECT_THAT(missing, Not(HasSubstr(layer)));
  Peer peer(daemon.vms());
  EXPECT_TRUE(peer.attach());
}

TEST_P(NarrowHost, StatusNamesItToo) {
  const Daemon daemon({}, GetParam().profile);
  const json status = json::parse(stream_line(daemon.ctl(), "{\"command\":\"status\"}\n"));
  const std::string missing = status["sandbox-missing"].dump();
  for (const char* text : GetParam().missing) EXPECT_THAT(missing, HasSubstr(text));
}

TEST_P(NarrowHost, StrictRefusesWithTheSameWords) {
  const Ended ended = run_memfaild(
      {"--socket-path", "/tmp/memfaild-narrow.sock", "--sandbox", "strict"}, GetParam().profile);
  ASSERT_TRUE(WIFEXITED(ended.status));
  EXPECT_EQ(WEXITSTATUS(ended.status), 1);
  EXPECT_THAT(ended.error_output, HasSubstr("cannot be had"));
  EXPECT_THAT(ended.error_output, HasSubstr("--sandbox auto goes on without it"));
  const bool same = std::ranges::any_of(GetParam().strict_says, [&](const char* text) {
    return ended.error_output.find(text) != std::string::npos;
  });
  EXPECT_TRUE(same) << ended.error_output;
}

INSTANTIATE_TEST_SUITE_P(
    Profiles, NarrowHost,
    ::testing::Values(
        Host{"no-user-namespaces",
             {"user-namespace", "user.max_user_namespaces"},
             {"mount-namespace", "empty-root", "landlock", "seccomp", "no-capabilities"},
             // In a user namespace memory beyond the limit is locked no more.
             {"'user-namespace'", "'locked-memory'"}},
        Host{"container",
             {"user-namespace", "mount-namespace", "empty-root", "landlock",
              "a profile that lets unshare through"},
             {"seccomp", "no-capabilities", "no-new-privs", "not-dumpable", "no-new-processes"},
             {"'user-namespace'"}},
        // Nothing is mounted over the root of whoever started it.
        Host{"no-unshare",
             {"user-namespace", "mount-namespace", "empty-root", "needs the mount-namespace"},
             {"landlock", "seccomp", "no-capabilities"},
             {"'user-namespace'"}},
        Host{"bounding-set",
             {"no-capabilities", "prctl(PR_CAPBSET_DROP)"},
             {"user-namespace", "mount-namespace", "empty-root", "landlock", "seccomp"},
             {"'no-capabilities'", "the process that waits cannot be had: prctl(PR_CAPBSET_DROP)"}},
        Host{"no-seccomp",
             {"seccomp", "CONFIG_SECCOMP_FILTER"},
             {"user-namespace", "mount-namespace", "empty-root", "landlock", "no-capabilities"},
             {"the process that waits cannot be had: seccomp"}}));

// What can be given up is, whatever else cannot.
TEST(Capabilities, AreGoneThoughTheBoundingSetStays) {
  if (kSanitized) GTEST_SKIP() << "SKIPPED: a build with a sanitizer has no full sandbox";
  const Daemon daemon({}, "bounding-set");
  ASSERT_TRUE(daemon.log_has("listening on")) << daemon.log();
  std::ifstream in("/proc/" + std::to_string(daemon.pid()) + "/status");
  const std::string status{std::istreambuf_iterator<char>(in), {}};
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
    EXPECT_THAT(status, HasSubstr(std::string(set) + ":\t0000000000000000\n"));
  }
  EXPECT_THAT(status, Not(HasSubstr("CapBnd:\t0000000000000000\n"))) << "the host gave it away";
}

// A label that is there and cannot be read is not the same as none: whoever has none could
// come back to that VM's session.
TEST(SecurityLabel, ThatCannotBeReadIsNobodys) {
  const std::string own = "uid " + std::to_string(::getuid()) + "\n";
  for (const auto& [host, seen] :
       {std::pair<const char*, std::string>{"no-label", own}, {"long-label", "uid 4294967295\n"}}) {
    const Daemon daemon({"--sandbox", "none"}, host);
    ASSERT_TRUE(Peer(daemon.vms()).attach()) << daemon.log();
    EXPECT_TRUE(daemon.log_has(seen)) << daemon.log();
  }
}

}  // namespace
}  // namespace memfail::test
