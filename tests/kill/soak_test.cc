// SPDX-License-Identifier: BSD-3-Clause
//
// Months in miniature: incidents without end, and memfaild's memory, descriptors and
// journal stay what they were.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "gtest/gtest.h"
#include "tests/kill/holdings.h"
#include "tests/kill/kill_test.h"

namespace memfail::kill {
namespace {

// A page may break again when the policy's repeat_seconds are over; nobody dies here.
constexpr Pace kPace{.most_idle_us = 3000, .page_rest_ms = 1500};
constexpr int kVms = 2;

class SoakTest : public ::testing::Test {
 protected:
  void SetUp() override {
    scene_.sidecar().keep_journal(3, 8 << 20);  // goes round several times
    ASSERT_TRUE(scene_.start_sidecar());
    for (int i = 0; i < kVms; ++i) {
      vms_.push_back(std::make_unique<VmProcess>(scene_.sidecar().vms(), "vm-" + std::to_string(i),
                                                 "/dev/null", kPace));
      ASSERT_TRUE(scene_.wait_until([&] { return vms_.back()->is_attached(); }));
    }
  }
  void TearDown() override {
    if (HasFailure()) std::printf("%s\n", complaints(scene_).c_str());
  }

  // A step of it is what the patience of a wait is for.
  bool wait_for_events(std::uint64_t all) {
    while (scene_.story().events() < all) {
      const std::uint64_t next = std::min(all, scene_.story().events() + 5000);
      if (!scene_.wait_until([&] { return scene_.story().events() >= next; })) return false;
    }
    return true;
  }
  std::uint64_t journal_size() {
    std::uint64_t size = 0;
    for (const auto& entry : std::filesystem::directory_iterator(scene_.sidecar().journal())) {
      size += entry.file_size();
    }
    return size;
  }
  Holdings look() {
    const Holdings now = holdings_of(scene_.sidecar().serving_pid());
    const std::uint64_t journal = journal_size();
    std::printf("%8lu events: %lu KiB private, %lu descriptors, %lu mappings, journal %lu bytes\n",
                scene_.story().events(), now.private_kib, now.descriptors, now.mappings, journal);
    return now;
  }
  void settle() {
    for (const auto& vm : vms_) vm->pause();
    for (const auto& vm : vms_) {
      EXPECT_TRUE(scene_.wait_until([&] { return vm->is_idle(); }));
      Judge judge(vm->log(), vm->session(), scene_.story());
      EXPECT_TRUE(scene_.wait_until([&] { return judge.missing(Fate::kIdle) == 0; }));
      judge.judge(Fate::kIdle);
    }
    EXPECT_TRUE(scene_.story().complaints().empty());
  }

  Scene scene_;
  std::vector<std::unique_ptr<VmProcess>> vms_;
};

TEST_F(SoakTest, MemoryDescriptorsAndJournalStayFlat) {
  const std::uint64_t all = sized(50'000, 1'000'000);
  // Every page has broken once, and the journal has gone round; in the long form the log of
  // repeats (65,536 a VM) and that of the storm rule (100,000 here) are full as well.
  const std::uint64_t warm = sized(20'000, 300'000);
  // The long form: 3 bytes an incident. The short one has those two logs filling, 32 bytes an
  // incident; what keeps a record of each would be seen.
  const std::uint64_t slack_kib = sized(8192, 2048);
  ASSERT_TRUE(wait_for_events(warm));
  const std::uint64_t journal = journal_size();
  const Holdings before = look();
  Holdings after;
  for (int part = 1; part <= 10; ++part) {
    ASSERT_TRUE(wait_for_events(warm + (all - warm) * static_cast<std::uint64_t>(part) / 10));
    after = look();
  }
  EXPECT_LE(after.private_kib, before.private_kib + slack_kib);
  EXPECT_EQ(after.descriptors, before.descriptors);
  EXPECT_LE(after.mappings, before.mappings + 2);  // malloc's
  EXPECT_EQ(journal_size(), journal);
  settle();
}

}  // namespace
}  // namespace memfail::kill
