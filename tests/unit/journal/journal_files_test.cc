// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/journal_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "tests/unit/journal/journal_fixture.h"
#include "tests/unit/journal/records.h"

namespace memfail::journal {
namespace {

namespace records = memfail::journal::testing;

class JournalFilesTest : public JournalFixture {
 protected:
  // The files that were written to since step `from`.
  std::set<std::uint32_t> written_since(std::size_t from) const {
    std::set<std::uint32_t> files;
    for (std::size_t i = from; i < io_->steps().size(); ++i) {
      if (io_->steps()[i].kind == IoStep::Kind::kWrite) files.insert(io_->steps()[i].file);
    }
    return files;
  }
  std::size_t syncs() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        io_->steps(), [](const IoStep& step) { return step.kind == IoStep::Kind::kSync; }));
  }
};

TEST_F(JournalFilesTest, SyncsOnceForAllThatIsGivenTogether) {
  make(1);
  ASSERT_EQ(give().error, 0);
  const std::size_t before = syncs();
  make(5);
  EXPECT_EQ(give().records, 5u);
  EXPECT_EQ(syncs(), before + 1);
}

TEST_F(JournalFilesTest, SyncsTheCheckpointBeforeTheFirstRecord) {
  make(1);
  ASSERT_EQ(give().error, 0);
  ASSERT_GE(io_->steps().size(), 3u);
  EXPECT_EQ(io_->steps()[0].kind, IoStep::Kind::kWrite);
  EXPECT_EQ(io_->steps()[1].kind, IoStep::Kind::kSync);
  EXPECT_EQ(io_->steps()[2].kind, IoStep::Kind::kWrite);
}

TEST_F(JournalFilesTest, GoesOnInTheSameFileAfterARestart) {
  make(3);
  ASSERT_EQ(give().error, 0);
  restart();
  make(3);
  ASSERT_EQ(give().error, 0);
  restart();
  EXPECT_EQ(files_->generation(), 1u);
  EXPECT_EQ(picture(files_->state()), picture(state_));
}

TEST_F(JournalFilesTest, AcknowledgesNothingOfTheNewestFileBeforeItIsSure) {
  make(20);
  ASSERT_EQ(give().error, 0);
  restart();
  EXPECT_EQ(files_->durable_seq(), 0u) << "what the file holds may be in the page cache alone";
  ASSERT_TRUE(files_->confirm());
  EXPECT_EQ(files_->durable_seq(), state_.next_seq() - 1);
}

TEST_F(JournalFilesTest, CountsWhatItHasAlreadyAsDurableWithoutWritingIt) {
  make(4);
  ASSERT_EQ(give().error, 0);
  restart();
  ASSERT_TRUE(files_->confirm());
  const std::size_t before = io_->steps().size();
  durable_ = 0;
  EXPECT_EQ(give().records, 4u);
  EXPECT_EQ(io_->steps().size(), before);
}

TEST_F(JournalFilesTest, UsesTheOldestFileAgainAndRecordsWhatThatCost) {
  give_until_full_turns(4);
  EXPECT_EQ(files_->first_seq(), 1u);
  give_until_full_turns(5);
  EXPECT_GT(files_->first_seq(), 1u);
  FileReader reader(*io_, {0, {kJournalId, 5}, kFileHeaderSize, kGeometry.file_size});
  ASSERT_EQ(reader.next()->record.type, RecordType::kCheckpoint);
  const Frame loss = *reader.next();
  ASSERT_EQ(loss.record.type, RecordType::kLoss);
  wire::LossRecord lost;
  std::memcpy(&lost, loss.record.payload.data(), sizeof lost);
  EXPECT_EQ(lost.from_seq(), 1u);
  EXPECT_EQ(lost.to_seq(), files_->first_seq() - 1);
}

TEST_F(JournalFilesTest, LeavesAFileWhoseSyncFailedAndWritesTheRecordsToTheNext) {
  make(5);
  ASSERT_EQ(give().error, 0);
  const std::uint64_t durable = files_->durable_seq();
  make(5);
  fail_syncs(1, EIO);
  const std::size_t before = io_->steps().size();
  EXPECT_EQ(give().error, EIO);
  EXPECT_EQ(files_->durable_seq(), durable);
  EXPECT_THAT(written_since(before), ::testing::ElementsAre(0u));
  const std::size_t again = io_->steps().size();
  EXPECT_EQ(give().records, 5u);
  EXPECT_THAT(written_since(again), ::testing::ElementsAre(1u));
  restart();
  EXPECT_EQ(picture(files_->state()), picture(state_));
}

TEST_F(JournalFilesTest, KeepsTheFileWithTheLastSureCheckpointHoweverOftenItFails) {
  make(5);
  ASSERT_EQ(give().error, 0);
  make(1);
  fail_everything(EIO);
  ASSERT_EQ(give().error, EIO);
  const std::size_t before = io_->steps().size();
  for (int attempt = 0; attempt < 20; ++attempt) ASSERT_EQ(give().error, EIO);
  EXPECT_THAT(written_since(before), ::testing::ElementsAre(1u, 2u))
      << "and no more than two others";
}

TEST_F(JournalFilesTest, KeepsThatFileAlsoWhenItHoldsNoEvent) {
  give_until_full_turns(4);
  while (files_->generation() < 5) {
    make_verdicts(1);
    ASSERT_EQ(give().error, 0);
  }
  make_verdicts(1);
  fail_everything(EIO);
  ASSERT_EQ(give().error, EIO);
  const std::size_t before = io_->steps().size();
  for (int attempt = 0; attempt < 20; ++attempt) ASSERT_EQ(give().error, EIO);
  EXPECT_THAT(written_since(before), ::testing::ElementsAre(1u, 2u)) << "file 0 is generation 5";
}

// A power cut may lose a record and keep the one behind it. Another record of the
// same size then takes the lost one's place.
TEST_F(JournalFilesTest, LetsNoRecordFromBeforeARecoveryFollowOneFromAfterIt) {
  make(3);
  make_verdicts(2);
  ASSERT_EQ(give().error, 0);
  const std::size_t frame = frame_size(records_.back().payload.size());
  io_->images()[0][files_->part_of(0).end - 2 * frame + kFrameHeader] ^= std::byte{1};
  restart();
  ASSERT_EQ(files_->state().next_number(), 4u);
  OwnedRecord other = records_[3];
  other.payload[sizeof(wire::VerdictRecord) - 20] ^= std::byte{1};
  EXPECT_EQ(files_->append(std::vector<Record>{other.view()}).records, 1u);
  restart();
  EXPECT_EQ(files_->state().next_number(), 5u);
}

TEST_F(JournalFilesTest, LosesNoMoreHistoryThanTwoFilesWhileADiskFails) {
  give_until_full_turns(4);
  fail_everything(ENOSPC);
  make(40);
  for (int attempt = 0; attempt < 20; ++attempt) ASSERT_EQ(give().error, ENOSPC);
  io_->fault = nullptr;
  ASSERT_EQ(give().error, 0);
  EXPECT_LT(files_->first_seq(), files_->uses().at(3).first_seq);
}

TEST_F(JournalFilesTest, NeverReturnsToAFileOnceAHigherGenerationWasBegun) {
  make(5);
  ASSERT_EQ(give().error, 0);
  make(5);
  fail_everything(EIO);
  for (int attempt = 0; attempt < 3; ++attempt) ASSERT_EQ(give().error, EIO);
  const std::uint64_t begun = files_->generation();
  ASSERT_GT(begun, 1u);
  restart();
  ASSERT_EQ(give().error, 0);
  EXPECT_GT(files_->generation(), begun);
}

TEST_F(JournalFilesTest, TriesAgainToMakeTheNewestFileSure) {
  make(5);
  ASSERT_EQ(give().error, 0);
  restart();
  fail_everything(EROFS);
  EXPECT_EQ(files_->confirm().error(), EROFS);
  EXPECT_EQ(files_->durable_seq(), 0u);
  io_->fault = nullptr;
  EXPECT_TRUE(files_->confirm());
  EXPECT_EQ(files_->durable_seq(), state_.next_seq() - 1);
}

// Of one file: a bad place of the disk.
TEST_F(JournalFilesTest, LeavesANewestFileThatCannotBeMadeSure) {
  make(5);
  ASSERT_EQ(give().error, 0);
  const std::size_t acknowledged = durable_;
  make(3);
  const std::vector<Record> more = views(records_, durable_, records_.size());
  ASSERT_EQ(files_->append(more).error, 0);  // and its writer died before it heard so
  restart();
  io_->fault = [](const IoStep& step) -> std::optional<int> {
    return step.file == 0 && step.kind != IoStep::Kind::kAcknowledged ? std::optional(EIO)
                                                                      : std::nullopt;
  };
  durable_ = acknowledged;
  EXPECT_EQ(give().error, EIO) << "it may come back";
  ASSERT_EQ(give().error, 0);
  EXPECT_EQ(picture(files_->state()), picture(state_));
  EXPECT_EQ(files_->durable_seq(), state_.next_seq() - 1);
  restart();
  ASSERT_TRUE(files_->confirm());
  EXPECT_EQ(picture(files_->state()), picture(state_));
  EXPECT_EQ(files_->first_seq(), 1u) << "what it had acknowledged is read there";
}

// Nothing was left to be written again: all of it had been acknowledged.
TEST_F(JournalFilesTest, LeavesItAlsoWhenThereIsNothingNew) {
  make(5);
  ASSERT_EQ(give().error, 0);
  restart();
  io_->fault = [](const IoStep& step) {
    return step.file == 0 ? std::optional(EIO) : std::nullopt;
  };
  EXPECT_EQ(files_->append({}).error, EIO);
  EXPECT_EQ(files_->append({}).error, 0);
  EXPECT_EQ(files_->durable_seq(), state_.next_seq() - 1);
  make(5);
  ASSERT_EQ(give().error, 0);
  restart();
  EXPECT_EQ(picture(files_->state()), picture(state_));
}

TEST_F(JournalFilesTest, SaysWhenARecordCannotFitAnyFile) {
  OwnedRecord huge{RecordType::kFolded, 1, 0, std::vector<std::byte>(kGeometry.file_size)};
  EXPECT_EQ(files_->append(std::vector<Record>{huge.view()}).error, EFBIG);
}

// More promises than a checkpoint has room for: those of 32 lanes, each with four cells.
TEST_F(JournalFilesTest, GoesOnWithMoreIncidentsOpenThanACheckpointHasRoomFor) {
  std::uint64_t number = 0;
  const auto give_one = [&](const records::MadeRecord& made) {
    const Record record = made.record();
    const Appended done = files_->append(std::span(&record, 1));
    EXPECT_EQ(done.error, 0) << "record " << record.number;
    return done.error == 0;
  };
  for (std::uint32_t cell = 0; cell < 128; ++cell) {
    const IncidentId id{records::session_id(1), cell / 4, cell % 4 + 1};
    ASSERT_TRUE(give_one(records::verdict(++number, id)));
  }
  std::uint64_t seq = 0;
  for (std::uint32_t cell = 0; cell < 128; ++cell) {
    const IncidentId id{records::session_id(1), cell / 4, cell % 4 + 1};
    ASSERT_TRUE(give_one(records::event(++number, ++seq, id)));
  }
  EXPECT_EQ(files_->durable_seq(), 128u);
  restart();
  EXPECT_EQ(files_->state().next_seq(), 129u);
  EXPECT_EQ(files_->state().open_verdicts(), 0u);
}

TEST_F(JournalFilesTest, GoesOnBehindNumbersThatAreGoneForGood) {
  make(5);
  const std::vector<Record> given = views(records_, 0, 5);
  const Record later[] = {given[0], given[4]};
  EXPECT_EQ(files_->append(later).records, 2u);
  EXPECT_EQ(files_->state().next_number(), 6u);
  restart();
  EXPECT_EQ(files_->state().next_number(), 6u);
}

}  // namespace
}  // namespace memfail::journal
