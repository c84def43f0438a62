// SPDX-License-Identifier: BSD-3-Clause
//
// The sidecar dies under load, and its journal is not what it was when the next one
// comes: deleted, another's, or so small that what a reader asks for is overwritten.
// Nothing is told twice within a journal, and what is gone is said to be gone.
#include <filesystem>
#include <random>

#include "gtest/gtest.h"
#include "tests/kill/kill_test.h"

namespace memfail::kill {
namespace {

namespace fs = std::filesystem;
using std::chrono::microseconds;

constexpr std::uint64_t kLargeFile = 4 << 20;
constexpr std::uint64_t kSmallFile = 64 << 10;

class JournalTest : public ::testing::Test {
 protected:
  void TearDown() override {
    if (HasFailure()) std::printf("MEMFAIL_SEED=%lu%s\n", seed_, complaints(scene_).c_str());
  }
  SidecarProcess& sidecar() { return scene_.sidecar(); }
  const Story& story() { return scene_.story(); }

  void begin(std::uint64_t file_size) {
    sidecar().keep_journal(3, file_size);
    ASSERT_TRUE(scene_.start_sidecar());
    ASSERT_TRUE(scene_.start_vm());
  }
  void load_for_a_while() { scene_.wait(microseconds(random_() % 100'000)); }
  bool wait_for_events(std::uint64_t more) {
    const std::uint64_t enough = story().events() + more;
    return scene_.wait_until([&] { return story().events() >= enough; });
  }

  // Under load. What the dead one had told is forgiven: it may be gone with its journal.
  void kill_sidecar() {
    sidecar().kill();
    scene_.wait(microseconds(1));  // what it had sent
    scene_.forgive();
  }
  // The front's records are of the journal that was there. It is never guessed whether
  // they are to be lost: a start says so, and whoever took the journal away decides.
  void start_with_other_journal() {
    if (!scene_.sidecar().start()) {
      ++refused_;
      EXPECT_NE(sidecar().log().find("holds records of journal"), std::string::npos)
          << sidecar().log();
      fs::remove(sidecar().front());
      ASSERT_TRUE(sidecar().start()) << sidecar().log();
    }
    ASSERT_TRUE(scene_.attach());
  }
  void settle() {
    ASSERT_TRUE(scene_.settle());
    scene_.go_on();
  }

  std::uint64_t seed_ = ::getenv("MEMFAIL_SEED") != nullptr
                            ? std::strtoul(::getenv("MEMFAIL_SEED"), nullptr, 10)
                            : std::random_device{}();
  std::mt19937_64 random_{seed_};
  Scene scene_;
  std::uint64_t refused_ = 0;
};

TEST_F(JournalTest, IsWholeAfterEachDeath) {
  ASSERT_NO_FATAL_FAILURE(begin(kLargeFile));
  const std::uint64_t kills = sized(50, 2000);
  for (std::uint64_t i = 1; i <= kills; ++i) {
    load_for_a_while();
    ASSERT_TRUE(scene_.replace_sidecar());
    if (i % 25 != 0) continue;
    ASSERT_NO_FATAL_FAILURE(settle());
  }
  EXPECT_TRUE(scene_.settle());
  EXPECT_EQ(story().journals(), 1U);
  EXPECT_EQ(story().told_again(), 0U);
}

TEST_F(JournalTest, ThatIsDeletedIsSaidToBeGone) {
  ASSERT_NO_FATAL_FAILURE(begin(kLargeFile));
  const std::uint64_t times = sized(15, 500);
  for (std::uint64_t i = 1; i <= times; ++i) {
    ASSERT_TRUE(wait_for_events(1));  // something that can be gone
    load_for_a_while();
    kill_sidecar();
    fs::remove_all(sidecar().journal());
    load_for_a_while();  // its fallback decides meanwhile
    ASSERT_NO_FATAL_FAILURE(start_with_other_journal());
    ASSERT_NO_FATAL_FAILURE(settle());
    EXPECT_EQ(story().journals(), i + 1);
    EXPECT_EQ(story().other_journals(), i);
  }
  std::printf("%lu journals deleted, %lu times with records in the front, %lu told again\n", times,
              refused_, story().told_again());
}

TEST_F(JournalTest, ThatIsReplacedByAnotherIsSaidToBeGone) {
  ASSERT_NO_FATAL_FAILURE(begin(kLargeFile));
  ASSERT_TRUE(wait_for_events(100));
  ASSERT_TRUE(scene_.settle());
  scene_.vm().child().kill();
  ASSERT_TRUE(scene_.bury_vm(true));
  const std::string aside = sidecar().journal() + ".aside";
  sidecar().kill();
  fs::rename(sidecar().journal(), aside);
  fs::remove(sidecar().front());
  ASSERT_TRUE(sidecar().start()) << sidecar().log();
  ASSERT_TRUE(scene_.start_vm());

  const std::uint64_t times = sized(10, 300);
  for (std::uint64_t i = 1; i <= times; ++i) {
    ASSERT_TRUE(wait_for_events(1));
    load_for_a_while();
    kill_sidecar();
    const std::string between = aside + ".between";
    fs::rename(sidecar().journal(), between);
    fs::rename(aside, sidecar().journal());
    fs::rename(between, aside);
    load_for_a_while();
    ASSERT_NO_FATAL_FAILURE(start_with_other_journal());
    ASSERT_NO_FATAL_FAILURE(settle());
    EXPECT_EQ(story().other_journals(), i + 1);
  }
  std::printf("%lu journals replaced, %lu times with records in the front, %lu told again\n", times,
              refused_, story().told_again());
}

// The reader was away: what it asks for next is no longer there.
TEST_F(JournalTest, ThatHasGoneRoundSaysWhatIsGone) {
  ASSERT_NO_FATAL_FAILURE(begin(kSmallFile));
  scene_.story().allow_overwritten();
  const std::uint64_t times = sized(3, 100);
  for (std::uint64_t i = 1; i <= times; ++i) {
    ASSERT_TRUE(wait_for_events(1));
    scene_.look_away();
    const std::uint64_t last = story().next_seq() - 1;
    ASSERT_TRUE(scene_.wait_until([&] { return scene_.first_seq() > last + 100; }));
    kill_sidecar();
    load_for_a_while();
    ASSERT_TRUE(sidecar().start()) << sidecar().log();
    ASSERT_TRUE(scene_.attach());
    scene_.look_again();
    ASSERT_NO_FATAL_FAILURE(settle());
    EXPECT_GE(story().overwritten(), i);
  }
  EXPECT_EQ(story().journals(), 1U);
}

}  // namespace
}  // namespace memfail::kill
