// SPDX-License-Identifier: BSD-3-Clause
//
// The journal's file system is frozen for a while: the verdicts of all VMs go on as
// before, and afterwards nothing is missing or doubled.
#include <vector>

#include "gtest/gtest.h"
#include "tests/integration/sidecar/frozen_disk.h"
#include "tests/kill/kill_test.h"
#include "tests/kill/latencies.h"

namespace memfail::kill {
namespace {

using std::chrono::seconds;

// What a minute of it brings has room in the front.
constexpr Pace kPace{.most_idle_us = 300'000, .page_rest_ms = 5000};

class HungDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!disk_.make()) GTEST_SKIP() << "no loop mount here: needs root and a loop device";
    story().allow_outages();
    scene_.sidecar().keep_journal_in(disk_.at() + "/journal", 3, 1 << 20);
    ASSERT_TRUE(scene_.start_sidecar());
    ASSERT_TRUE(scene_.start_vm(kPace));
    other_.emplace(scene_.sidecar().vms(), "other", "/dev/null", kPace);
    ASSERT_TRUE(scene_.wait_until([&] { return other_->is_attached(); }));
  }
  void TearDown() override {
    disk_.thaw();
    if (HasFailure()) std::printf("%s\n", complaints(scene_).c_str());
  }
  Story& story() { return scene_.story(); }
  bool said(const char* words) { return scene_.sidecar().log().find(words) != std::string::npos; }

  // Verdicts of all VMs, meanwhile.
  void load_for(const char* when, std::uint64_t time_s) {
    (void)story().take_latencies();
    const std::uint64_t builtin = story().decided_by_builtin();
    scene_.wait(seconds(time_s));
    const std::vector<std::uint64_t> took = story().take_latencies();
    std::printf("%-16s %s\n", when, summary(took).c_str());
    EXPECT_FALSE(took.empty());
    // A loop that waits for the disk would leave them to the fallback. A few may be: the
    // deadline is in real time, and the processors are shared.
    EXPECT_LE((story().decided_by_builtin() - builtin) * 20, took.size());
  }

  test::FrozenDisk disk_;  // outlives what stands on it
  Scene scene_;
  std::optional<VmProcess> other_;
};

TEST_F(HungDiskTest, VerdictsOfAllVmsGoOn) {
  load_for("before", sized(3, 30));
  const std::uint64_t outages = story().outages();  // a busy disk may have been as slow
  ASSERT_TRUE(disk_.freeze());
  ASSERT_TRUE(scene_.wait_until([&] { return said("DEGRADED: the disk does not answer"); }));
  load_for("while it hangs", sized(4, 60));
  EXPECT_GT(story().not_durable(), 0U);
  disk_.thaw();
  EXPECT_TRUE(scene_.wait_until([&] { return said("well again"); }));
  EXPECT_TRUE(scene_.wait_until([&] { return story().outages() > outages; }));
  std::printf("%lu events were at risk\n", story().at_risk_last());
  load_for("afterwards", sized(2, 30));
  Judge judge(other_->log(), other_->session(), story());
  other_->pause();
  EXPECT_TRUE(scene_.wait_until([&] { return other_->is_idle(); }));
  EXPECT_TRUE(scene_.wait_until([&] { return judge.missing(Fate::kIdle) == 0; }));
  judge.judge(Fate::kIdle);
  EXPECT_TRUE(scene_.settle());
}

}  // namespace
}  // namespace memfail::kill
