// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/front.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/journal/front_fixture.h"

namespace memfail::journal {
namespace {

using testing::append_numbered;
using testing::count_from;
using testing::is_numbered;
using testing::must_open;

class AFront : public ::testing::Test {
 protected:
  // Appends until there is no room; the number of the first that had none.
  std::uint64_t fill(std::uint64_t number) {
    while (append_numbered(front_, number)) ++number;
    return number;
  }

  testing::TmpfsDirectory directory_;
  OpenFront opened_ = must_open(testing::request_for(directory_));
  Front& front_ = opened_.front;
};

TEST_F(AFront, IsEmptyWhenFresh) {
  EXPECT_TRUE(opened_.fresh);
  EXPECT_EQ(front_.used(), 0u);
  EXPECT_EQ(front_.read(front_.tail()).state, FrontRead::kEmpty);
}

TEST_F(AFront, GivesRecordsBackInOrder) {
  for (std::uint64_t number = 1; number <= 50; ++number) {
    ASSERT_TRUE(append_numbered(front_, number));
  }
  EXPECT_EQ(count_from(front_, 1), 50u);
}

TEST_F(AFront, RefusesWhatDoesNotFitAndKeepsWhatItHas) {
  const std::uint64_t next = fill(1);
  EXPECT_GT(next, 100u);
  const std::uint64_t head = front_.head();
  EXPECT_FALSE(append_numbered(front_, next));
  EXPECT_EQ(front_.head(), head);
  EXPECT_EQ(count_from(front_, 1), next - 1);
}

TEST_F(AFront, HasRoomAgainAsMuchAsIsReleased) {
  const std::uint64_t next = fill(1);
  FrontItem item = front_.read(front_.tail());
  for (int i = 0; i < 9; ++i) item = front_.read(item.next);
  front_.release(item.next);
  EXPECT_GT(fill(next), next);
  EXPECT_GT(count_from(front_, 11), 0u);
}

TEST_F(AFront, CanBeFilledToTheLastByte) {
  const std::size_t payload = 1024 - kFrameHeader;
  const std::vector<std::byte> bytes(payload);
  for (std::size_t i = 0; i < front_.capacity() / 1024; ++i) {
    ASSERT_TRUE(front_.append({RecordType::kVerdict, i + 1, 0, bytes}));
  }
  EXPECT_EQ(front_.used(), front_.capacity());
  EXPECT_FALSE(front_.append({RecordType::kVerdict, 1000, 0, {}}));
}

TEST_F(AFront, GoesRoundManyTimes) {
  std::uint64_t taken = 0;
  std::uint64_t given = 0;
  while (front_.head() < 40 * front_.capacity()) {
    given = fill(given + 1) - 1;
    FrontItem item = front_.read(front_.tail());
    for (; item.state == FrontRead::kRecord; item = front_.read(front_.tail())) {
      ASSERT_TRUE(is_numbered(item.record, ++taken));
      front_.release(item.next);
    }
    ASSERT_EQ(item.state, FrontRead::kEmpty);
    ASSERT_EQ(taken, given);
  }
}

TEST_F(AFront, TakesARecordAsLargeAsItselfOnlyAtTheBeginningOfALap) {
  const std::vector<std::byte> bytes(front_.capacity() - kFrameHeader);
  ASSERT_TRUE(front_.append({RecordType::kCheckpoint, 0, 0, bytes}));
  front_.release(front_.head());
  ASSERT_TRUE(append_numbered(front_, 1));
  front_.release(front_.head());
  EXPECT_FALSE(front_.append({RecordType::kCheckpoint, 0, 0, bytes}));
}

TEST_F(AFront, IsReadByAnotherThreadWhileItIsWritten) {
  constexpr std::uint64_t kRecords = 20'000;
  std::thread reader([this] {
    for (std::uint64_t number = 1; number <= kRecords;) {
      const FrontItem item = front_.read(front_.tail());
      if (item.state == FrontRead::kEmpty) continue;
      ASSERT_EQ(item.state, FrontRead::kRecord);
      ASSERT_TRUE(is_numbered(item.record, number++));
      front_.release(item.next);
    }
  });
  for (std::uint64_t number = 1; number <= kRecords;) {
    if (append_numbered(front_, number)) {
      ++number;
    } else {
      std::this_thread::yield();
    }
  }
  reader.join();
  EXPECT_EQ(front_.used(), 0u);
}

TEST_F(AFront, SaysWhereAFrameIsDamaged) {
  for (std::uint64_t number = 1; number <= 3; ++number) append_numbered(front_, number);
  const FrontItem first = front_.read(front_.tail());
  auto* payload = const_cast<std::byte*>(first.record.payload.data());
  payload[0] ^= std::byte{1};
  const FrontItem again = front_.read(front_.tail());
  EXPECT_EQ(again.state, FrontRead::kDamaged);
  EXPECT_EQ(again.next, front_.tail());
}

}  // namespace
}  // namespace memfail::journal
