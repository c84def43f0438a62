// SPDX-License-Identifier: BSD-3-Clause
//
// SIGKILL at any instruction, again and again, under load on eight lanes.
#include <cstdlib>
#include <random>

#include "gtest/gtest.h"
#include "tests/kill/kill_test.h"

namespace memfail::kill {
namespace {

using std::chrono::microseconds;

// Between two looks at every incident; each lets the load rest.
constexpr std::uint64_t kKillsASettle = 25;

class RandomTest : public ::testing::Test {
 protected:
  void SetUp() override {
    RecordProperty("seed", std::to_string(seed_));
    ASSERT_TRUE(scene_.start_sidecar());
    ASSERT_TRUE(scene_.start_vm());
  }
  void TearDown() override {
    if (HasFailure()) std::printf("MEMFAIL_SEED=%lu%s\n", seed_, complaints(scene_).c_str());
  }

  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  bool one_in(std::uint64_t many) { return below(many) == 0; }

  // The VM's log has room for so many incidents of a lane.
  void renew_vm_before_its_log_is_full() {
    if (scene_.vm().log().begun[0].load() < kEntriesPerLane * 3 / 4) return;
    scene_.vm().child().kill();
    ASSERT_TRUE(scene_.bury_vm(true));
    ASSERT_TRUE(scene_.start_vm());
  }

  void settle_now_and_then(std::uint64_t kills) {
    if (kills % kKillsASettle != 0) return;
    ASSERT_TRUE(scene_.settle());
    renew_vm_before_its_log_is_full();
    scene_.go_on();
  }

  std::uint64_t seed_ = ::getenv("MEMFAIL_SEED") != nullptr
                            ? std::strtoul(::getenv("MEMFAIL_SEED"), nullptr, 10)
                            : std::random_device{}();
  std::mt19937_64 random_{seed_};
  Scene scene_;
};

TEST_F(RandomTest, SidecarIsKilled) {
  const std::uint64_t kills = sized(300, 10'000);
  for (std::uint64_t i = 1; i <= kills; ++i) {
    scene_.wait(microseconds(below(100'000)));
    ASSERT_TRUE(scene_.replace_sidecar());
    ASSERT_NO_FATAL_FAILURE(settle_now_and_then(i));
  }
  EXPECT_TRUE(scene_.settle());
}

// Also while it is at its attach.
TEST_F(RandomTest, SidecarIsKilledWhileTheVmAttaches) {
  const std::uint64_t kills = sized(100, 3000);
  for (std::uint64_t i = 1; i <= kills; ++i) {
    scene_.sidecar().kill();
    ASSERT_TRUE(scene_.sidecar().start());
    if (!one_in(4)) scene_.vm().command(kAttachNow);  // else when its back-off is over
    scene_.wait(microseconds(below(4000)));
    ASSERT_TRUE(scene_.replace_sidecar());
    ASSERT_NO_FATAL_FAILURE(settle_now_and_then(i));
  }
  EXPECT_TRUE(scene_.settle());
}

TEST_F(RandomTest, VmIsKilled) {
  const std::uint64_t kills = sized(60, 1000);
  for (std::uint64_t i = 0; i < kills; ++i) {
    scene_.wait(microseconds(below(30'000)));
    scene_.vm().child().kill();
    ASSERT_TRUE(scene_.bury_vm(true));
    ASSERT_TRUE(scene_.start_vm());
  }
  EXPECT_TRUE(scene_.settle());
}

TEST_F(RandomTest, BothAreKilled) {
  const std::uint64_t kills = sized(30, 500);
  for (std::uint64_t i = 0; i < kills; ++i) {
    scene_.wait(microseconds(below(30'000)));
    const bool sidecar_first = one_in(2);
    ChildProcess& first = sidecar_first ? scene_.sidecar().child() : scene_.vm().child();
    ChildProcess& second = sidecar_first ? scene_.vm().child() : scene_.sidecar().child();
    first.signal(SIGKILL);
    second.kill();
    first.kill();
    ASSERT_TRUE(scene_.sidecar().start());
    ASSERT_TRUE(scene_.bury_vm(false));
    ASSERT_TRUE(scene_.start_vm());
  }
  EXPECT_TRUE(scene_.settle());
}

}  // namespace
}  // namespace memfail::kill
