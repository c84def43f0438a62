// SPDX-License-Identifier: BSD-3-Clause
//
// A VM may attach as often as sidecars die: it costs it nothing that stays.
#include "gtest/gtest.h"
#include "tests/kill/holdings.h"
#include "tests/kill/kill_test.h"

namespace memfail::kill {
namespace {

class ReattachTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(scene_.start_sidecar());
    ASSERT_TRUE(scene_.start_vm());
    ASSERT_TRUE(scene_.wait_until([&] { return scene_.story().events() > 200; }));
    ASSERT_TRUE(scene_.settle()) << complaints(scene_);  // the load's own growth is over
  }
  void reattach(std::uint64_t times) {
    for (std::uint64_t i = 0; i < times; ++i) ASSERT_TRUE(scene_.replace_sidecar()) << i;
  }

  Scene scene_;
};

TEST_F(ReattachTest, LeavesDescriptorsMappingsAndMemoryFlat) {
  // A page for each re-attach would be seen, in the short form too.
  constexpr std::uint64_t kSlackKib = 128;
  ASSERT_NO_FATAL_FAILURE(reattach(10));
  const Holdings before = holdings_of(scene_.vm().child().pid());
  ASSERT_NO_FATAL_FAILURE(reattach(sized(150, 10'000)));
  const Holdings after = holdings_of(scene_.vm().child().pid());
  EXPECT_EQ(after.descriptors, before.descriptors);
  EXPECT_EQ(after.mappings, before.mappings);
  EXPECT_LE(after.private_kib, before.private_kib + kSlackKib);
  scene_.go_on();
  const std::uint64_t events = scene_.story().events();
  EXPECT_TRUE(scene_.wait_until([&] { return scene_.story().events() > events + 50; }));
  EXPECT_TRUE(scene_.settle()) << complaints(scene_);
}

// Every reply wakes who waits for it: with one sidecar all the time, none is found
// only because a slice of the wait had ended.
TEST_F(ReattachTest, NoVerdictIsFoundByASlice) {
  scene_.go_on();
  constexpr std::uint64_t kStep = 1000;  // what the patience of a wait is for
  const std::uint64_t slices = scene_.slices();
  for (std::uint64_t i = 0; i < sized(4, 200); ++i) {
    const std::uint64_t enough = scene_.story().events() + kStep;
    ASSERT_TRUE(scene_.wait_until([&] { return scene_.story().events() > enough; })) << i;
  }
  EXPECT_TRUE(scene_.settle()) << complaints(scene_);
  EXPECT_EQ(scene_.slices(), slices);
}

}  // namespace
}  // namespace memfail::kill
