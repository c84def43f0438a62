// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/journal_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/unit/journal/journal_fixture.h"

namespace memfail::ctl {
namespace {

using ::testing::HasSubstr;

class JournalCheckTest : public journal::JournalFixture {
 protected:
  JournalReport report() { return inspect_journal(*io_, kGeometry); }
  const FileReport& file(const JournalReport& report, const std::string& name) {
    for (const FileReport& one : report.files) {
      if (one.name == name) return one;
    }
    ADD_FAILURE() << name;
    return report.files.front();
  }
  std::vector<nlohmann::json> dumped() {
    std::ostringstream out;
    dump_records(*io_, kGeometry, out);
    std::istringstream in(out.str());
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }
};

TEST_F(JournalCheckTest, FindsNothingWrongWithFilesThatWereNeverBegun) {
  EXPECT_TRUE(report().good());
  EXPECT_EQ(report().journal, "");
  EXPECT_THAT(journal_report(report(), false), HasSubstr("no journal was begun here: good"));
}

TEST_F(JournalCheckTest, ListsTheFilesInTheOrderOfWriting) {
  give_until_full_turns(6);
  const JournalReport all = report();
  EXPECT_TRUE(all.good());
  EXPECT_EQ(all.journal, "55556666777788881111222233334444");
  ASSERT_EQ(all.files.size(), 4u);
  std::uint64_t next = files_->first_seq();
  for (const FileReport& one : all.files) {
    EXPECT_EQ(one.state, "whole") << one.name;
    if (one.first_seq == 0) continue;  // only begun, so far
    EXPECT_EQ(one.first_seq, next) << one.name;
    next = one.last_seq + 1;
  }
  EXPECT_EQ(next, state_.next_seq());
}

TEST_F(JournalCheckTest, CallsTheNewestFilesTornEndNoDamage) {
  give_until_full_turns(2);
  make(5);
  ASSERT_EQ(give().error, 0);
  io_->images()[1][file(report(), "journal.1").used - 8] ^= std::byte{1};
  EXPECT_TRUE(report().good());
  EXPECT_EQ(file(report(), "journal.1").state, "torn");
}

TEST_F(JournalCheckTest, NamesTheRecordsThatAnOlderFileHasLost) {
  give_until_full_turns(3);
  io_->images()[1][file(report(), "journal.1").used - 8] ^= std::byte{1};
  EXPECT_FALSE(report().good());
  EXPECT_EQ(file(report(), "journal.1").state, "damaged");
  EXPECT_THAT(file(report(), "journal.1").detail, HasSubstr("cannot be read"));
  EXPECT_EQ(nlohmann::json::parse(journal_report_json(report())).at("good"), false);
}

TEST_F(JournalCheckTest, NamesAForeignFile) {
  give_until_full_turns(2);
  io_->images()[3][0] = std::byte{'x'};
  EXPECT_EQ(file(report(), "journal.3").state, "foreign");
  EXPECT_FALSE(report().good());
}

TEST_F(JournalCheckTest, TakesAFileWhoseSyncFailedForWholeOnceTheNextHasItsRecords) {
  make(5);
  ASSERT_EQ(give().error, 0);
  make(5);
  fail_syncs(1, EIO);
  ASSERT_EQ(give().error, EIO);
  ASSERT_EQ(give().error, 0);
  EXPECT_TRUE(report().good());
}

TEST_F(JournalCheckTest, DumpsEveryRecordOnce) {
  give_until_full_turns(3);
  std::uint64_t number = 1;
  for (const nlohmann::json& line : dumped()) {
    if (!line.contains("number")) continue;
    EXPECT_EQ(line["number"], number);
    const journal::OwnedRecord& given = records_[number - 1];
    EXPECT_EQ(line.contains("event"), given.type == journal::RecordType::kEvent);
    if (line.contains("event")) {
      EXPECT_EQ(line["event"]["data"]["memfail"]["seq"], given.seq);
    }
    ++number;
  }
  EXPECT_EQ(number, state_.next_number());
}

TEST_F(JournalCheckTest, TellsNobodyTheResumeKeys) {
  give_until_full_turns(2);
  for (const nlohmann::json& line : dumped()) {
    EXPECT_THAT(line.dump(), ::testing::Not(HasSubstr("resume"))) << line;
  }
}

TEST(JournalCheck, SaysWhatIsNoJournal) {
  EXPECT_EQ(verify_journal("/nonexistent", false, false), 1);
  EXPECT_EQ(dump_journal("/proc"), 1);
}

}  // namespace
}  // namespace memfail::ctl
