// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "tests/unit/journal/journal_fixture.h"

namespace memfail::journal {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class HistoryTest : public JournalFixture {
 protected:
  // Asks on and on; each answer must go on where the one before ended.
  std::vector<std::uint64_t> all_from(std::uint64_t seq, const PastLimit& limit) {
    std::vector<std::uint64_t> out;
    while (seq <= files_->durable_seq()) {
      const std::vector<std::uint64_t> some = seqs(seq, limit);
      out.insert(out.end(), some.begin(), some.end());
      if (next_ <= seq) break;
      seq = next_;
    }
    return out;
  }
  std::vector<std::uint64_t> expected(std::uint64_t from) const {
    std::vector<std::uint64_t> out;
    for (std::uint64_t seq = from; seq < state_.next_seq(); ++seq) out.push_back(seq);
    return out;
  }
  void make_events(std::uint64_t count) {
    while (state_.next_seq() <= count) make(1);
    ASSERT_EQ(give().error, 0);
  }
};

TEST_F(HistoryTest, HasNothingBeforeTheFirstEvent) {
  EXPECT_THAT(seqs(1), IsEmpty());
  EXPECT_EQ(next_, 1u);
}

TEST_F(HistoryTest, FindsEachEventAcrossAllFiles) {
  give_until_full_turns(4);
  for (const std::size_t step : {1u, 3u, 256u}) {
    EXPECT_EQ(all_from(1, {step, 100'000}), expected(1)) << step << " at a time";
  }
  const std::uint64_t middle = files_->uses().at(2).first_seq;
  EXPECT_EQ(all_from(middle, {}), expected(middle));
  EXPECT_EQ(all_from(middle - 1, {}), expected(middle - 1));
}

TEST_F(HistoryTest, HasWhatWasGivenAndNoOther) {
  make_events(10);
  const auto past = history_.read(*files_, 4, {1, 100'000});
  ASSERT_TRUE(past);
  ASSERT_EQ(past->events.size(), 1u);
  const auto given =
      std::ranges::find_if(records_, [](const OwnedRecord& record) { return record.seq == 4; });
  EXPECT_EQ(past->events[0].record, given->payload);
}

TEST_F(HistoryTest, BeginsWithTheOldestThatIsLeft) {
  give_until_full_turns(6);
  const std::uint64_t first = files_->first_seq();
  ASSERT_GT(first, 1u);
  EXPECT_EQ(all_from(1, {}), expected(first));
}

TEST_F(HistoryTest, AnswersWithinItsLimitButWithAtLeastOne) {
  make_events(10);
  EXPECT_THAT(seqs(3, {2, 100'000}), ElementsAre(3u, 4u));
  EXPECT_EQ(next_, 5u);
  EXPECT_THAT(seqs(5, {100, 1}), ElementsAre(5u));
}

TEST_F(HistoryTest, HasNothingOfTheFuture) {
  make_events(10);
  EXPECT_THAT(seqs(state_.next_seq() + 100), IsEmpty());
  EXPECT_EQ(next_, state_.next_seq() + 100);
}

TEST_F(HistoryTest, ShowsNoEventWhoseSyncFailed) {
  make_events(5);
  const std::uint64_t durable = state_.next_seq();
  while (state_.next_seq() < durable + 3) make(1);
  fail_syncs(1, EIO);
  ASSERT_EQ(give().error, EIO);
  EXPECT_EQ(all_from(1, {}).size(), durable - 1);
  ASSERT_EQ(give().error, 0);
  EXPECT_EQ(all_from(1, {}), expected(1)) << "and each once, though two files hold some";
}

TEST_F(HistoryTest, PassesOverDamageAndSaysWhereToGoOn) {
  give_until_full_turns(3);
  const std::uint64_t second = files_->uses().at(1).first_seq;
  // The last bytes of the first file that are in use.
  auto& image = io_->images()[0];
  const auto used = std::ranges::find_if(image.rbegin(), image.rend(),
                                         [](std::byte one) { return one != std::byte{0}; });
  *used ^= std::byte{1};
  const std::vector<std::uint64_t> found = all_from(1, {});
  ASSERT_FALSE(found.empty());
  EXPECT_LT(found.size(), expected(1).size());
  EXPECT_EQ(found.back(), state_.next_seq() - 1);
  EXPECT_TRUE(std::ranges::find(found, second) != found.end());
}

}  // namespace
}  // namespace memfail::journal
