// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/journal_recovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "shm/crc32c.h"
#include "tests/unit/journal/journal_fixture.h"

namespace memfail::journal {
namespace {

using testing::HasSubstr;

class JournalRecoveryTest : public JournalFixture {
 protected:
  void write_header(std::uint32_t file, const FileHeader& header) {
    const auto bytes = encode(header);
    std::ranges::copy(bytes, io_->images()[file].begin());
  }
};

TEST_F(JournalRecoveryTest, FindsNothingInFilesOfZeros) {
  const auto found = recover(*io_, kGeometry, "/j");
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->journal);
  EXPECT_FALSE(found->newest);
  EXPECT_EQ(found->state.next_seq(), 1u);
}

TEST_F(JournalRecoveryTest, FindsTheJournalAndItsState) {
  give_until_full_turns(6);
  const auto found = recover(*io_, kGeometry, "/j");
  ASSERT_TRUE(found);
  ASSERT_TRUE(found->journal);
  EXPECT_TRUE(same_id(*found->journal, kJournalId));
  EXPECT_EQ(found->generation, 6u);
  EXPECT_EQ(picture(found->state), picture(state_));
  EXPECT_EQ(found->uses.first_seq(state_.next_seq()), files_->first_seq());
}

TEST_F(JournalRecoveryTest, EndsAtATornRecord) {
  make(10);
  ASSERT_EQ(give().error, 0);
  auto& image = io_->images()[0];
  *std::ranges::find_if(image.rbegin(), image.rend(),
                        [](std::byte one) { return one != std::byte{0}; }) ^= std::byte{1};
  const auto found = recover(*io_, kGeometry, "/j");
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->newest->torn);
  EXPECT_EQ(found->state.next_number(), 10u);
}

TEST_F(JournalRecoveryTest, TakesAFileThatWasOnlyBegunForUnused) {
  give_until_full_turns(2);
  write_header(2, {kJournalId, 3, kGeometry.file_size});
  const auto found = recover(*io_, kGeometry, "/j");
  ASSERT_TRUE(found) << found.error();
  EXPECT_EQ(found->newest->generation, 2u);
  EXPECT_EQ(found->generation, 3u) << "and does not use that number again";
  EXPECT_EQ(picture(found->state), picture(state_));
}

TEST_F(JournalRecoveryTest, RefusesRecordsBehindATornCheckpoint) {
  give_until_full_turns(2);
  make(5);
  ASSERT_EQ(give().error, 0);
  io_->images()[1][kFileHeaderSize + 100] ^= std::byte{1};
  EXPECT_THAT(refusal(), HasSubstr("'/j/journal.1' is damaged: records stand behind a checkpoint"));
}

TEST_F(JournalRecoveryTest, RefusesTheFileOfAnotherJournal) {
  give_until_full_turns(3);
  write_header(2, {wire::Id128(9, 9), 3, kGeometry.file_size});
  EXPECT_THAT(refusal(), HasSubstr("'/j/journal.2' is of another journal"));
}

TEST_F(JournalRecoveryTest, RefusesANewerFormatByName) {
  give_until_full_turns(2);
  auto& image = io_->images()[1];
  image[8] = std::byte{2};
  EXPECT_THAT(refusal(), HasSubstr("does not begin as a journal of memfaild does"))
      << "a version that the checksum does not cover is damage";
  const auto crc = shm::crc32c(0, std::span(image).first(60));
  std::memcpy(&image[60], &crc, sizeof crc);
  EXPECT_THAT(refusal(), HasSubstr("'/j/journal.1' has format version 2, this memfaild knows 1"));
}

TEST_F(JournalRecoveryTest, RefusesAForeignFile) {
  const std::string text = "%PDF-1.7 this is somebody's thesis";
  std::memcpy(io_->images()[0].data(), text.data(), text.size());
  EXPECT_THAT(refusal(), HasSubstr("'/j/journal.0' does not begin as a journal of memfaild does"));
}

TEST_F(JournalRecoveryTest, RefusesFilesOfAnotherSize) {
  write_header(1, {kJournalId, 1, 4096});
  EXPECT_THAT(refusal(), HasSubstr("'/j/journal.1' was made with 4096 bytes a file, not 8192"));
}

TEST_F(JournalRecoveryTest, RefusesWhatCannotBeRead) {
  io_->images()[3].resize(10);
  EXPECT_THAT(refusal(), HasSubstr("'/j/journal.3' cannot be read: Input/output error"));
}

// Whatever one byte of a file becomes: recovered or refused, nothing invented.
TEST_F(JournalRecoveryTest, InventsNothingWhateverByteIsDamaged) {
  give_until_full_turns(3);
  make(3);
  ASSERT_EQ(give().error, 0);
  const FileImages whole = io_->images();
  std::vector<std::vector<std::byte>> pictures{picture(LiveState())};
  LiveState state;
  for (const OwnedRecord& record : records_) {
    (void)state.apply(record.view());
    pictures.push_back(picture(state));
  }
  for (std::uint32_t file = 0; file < kGeometry.files; ++file) {
    for (std::size_t at = file; at < kGeometry.file_size; at += 61) {
      io_->images() = whole;
      io_->images()[file][at] ^= std::byte{0x10};
      const auto found = recover(*io_, kGeometry, "/j");
      if (!found) continue;
      const std::size_t count = found->state.next_number() - 1;
      ASSERT_LE(count, records_.size());
      ASSERT_EQ(picture(found->state), pictures[count]) << "file " << file << " byte " << at;
    }
  }
}

}  // namespace
}  // namespace memfail::journal
