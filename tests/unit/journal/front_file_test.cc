// SPDX-License-Identifier: BSD-3-Clause
//
// What open_front() makes, takes up again, and refuses by name.
#include "sidecar/journal/front_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

#include "sidecar/journal/incident_id.h"
#include "tests/unit/journal/front_fixture.h"

namespace memfail::journal {
namespace {

using testing::append_numbered;
using testing::count_from;
using ::testing::HasSubstr;
using testing::must_open;

class AFrontFile : public ::testing::Test {
 protected:
  // A front with `records` records, closed again.
  void make(std::uint64_t records) {
    OpenFront opened = must_open(request_);
    for (std::uint64_t number = 1; number <= records; ++number) {
      ASSERT_TRUE(append_numbered(opened.front, number));
    }
  }
  void overwrite(std::size_t at, std::span<const std::byte> bytes) {
    const shm::UniqueFd fd(::open(request_.path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(at)),
              static_cast<ssize_t>(bytes.size()));
  }
  void overwrite_word(std::size_t at, std::uint64_t word) {
    overwrite(at, std::as_bytes(std::span(&word, 1)));
  }
  void expect_refused(FrontProblem problem, const char* words) {
    const auto opened = open_front(request_);
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().problem, problem) << opened.error().text;
    EXPECT_THAT(opened.error().text, HasSubstr("front " + request_.path + ": "));
    EXPECT_THAT(opened.error().text, HasSubstr(words));
    EXPECT_EQ(opened.error().text.find('\n'), std::string::npos);
  }

  testing::TmpfsDirectory directory_;
  FrontRequest request_ = testing::request_for(directory_);
};

TEST_F(AFrontFile, IsMadeForItsOwnerAloneWithAllItsBlocks) {
  make(0);
  struct stat status{};
  ASSERT_EQ(::stat(request_.path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_EQ(status.st_size, static_cast<off_t>(request_.capacity + 4096));
  EXPECT_GE(status.st_blocks * 512, status.st_size);
}

TEST_F(AFrontFile, KeepsItsRecordsAcrossALife) {
  make(20);
  const OpenFront again = must_open(request_);
  EXPECT_FALSE(again.fresh);
  EXPECT_EQ(again.damaged, 0u);
  EXPECT_EQ(count_from(again.front, 1), 20u);
}

TEST_F(AFrontFile, WithoutAJournalKeepsItsOwnId) {
  request_.journal.reset();
  request_.new_journal = wire::Id128(7, 8);
  make(1);
  request_.new_journal = wire::Id128(9, 9);
  const OpenFront again = must_open(request_);
  EXPECT_TRUE(same_id(again.front.journal(), wire::Id128(7, 8)));
}

TEST_F(AFrontFile, IsMadeAgainAfterAMakingThatWasCutOff) {
  overwrite(request_.capacity + 4095, std::as_bytes(std::span("", 1)));  // all zeros
  EXPECT_TRUE(must_open(request_).fresh);
}

TEST_F(AFrontFile, GivesUpWhatStandsBehindADamagedFrame) {
  make(20);
  overwrite_word(4096 + 1000, ~std::uint64_t{0} - 5);
  const OpenFront again = must_open(request_);
  EXPECT_GT(again.damaged, 0u);
  const std::uint64_t kept = count_from(again.front, 1);
  EXPECT_GT(kept, 0u);
  EXPECT_LT(kept, 20u);
}

TEST_F(AFrontFile, OfAnotherSizeIsMadeAnewOnlyWhenEmpty) {
  make(0);
  request_.capacity *= 2;
  EXPECT_TRUE(must_open(request_).fresh);
  make(3);
  request_.capacity *= 2;
  const OpenFront kept = must_open(request_);
  EXPECT_FALSE(kept.fresh);
  EXPECT_EQ(kept.front.capacity(), request_.capacity / 2);
  EXPECT_EQ(count_from(kept.front, 1), 3u);
}

TEST_F(AFrontFile, InUseByAnotherIsRefused) {
  const OpenFront first = must_open(request_);
  expect_refused(FrontProblem::kLocked, "in use by another memfaild");
}

TEST_F(AFrontFile, OfAnotherBootIsRefused) {
  make(1);
  request_.boot = wire::Id128(5, 5);
  expect_refused(FrontProblem::kOtherBoot, "00000000000044440000000000003333");
}

TEST_F(AFrontFile, OfAnotherJournalIsRefused) {
  make(1);
  request_.journal = wire::Id128(5, 5);
  expect_refused(FrontProblem::kOtherJournal, "00000000000022220000000000001111");
}

TEST_F(AFrontFile, OfANewerVersionIsRefused) {
  make(1);
  const std::uint32_t version = 2;
  overwrite(8, std::as_bytes(std::span(&version, 1)));
  expect_refused(FrontProblem::kNewer, "version 2");
}

TEST_F(AFrontFile, WithADamagedHeaderIsRefused) {
  make(1);
  overwrite_word(16, 1 << 20);  // its capacity
  expect_refused(FrontProblem::kDamaged, "header is damaged");
}

TEST_F(AFrontFile, CutShortIsRefused) {
  make(1);
  ASSERT_EQ(::truncate(request_.path.c_str(), 8192), 0);
  expect_refused(FrontProblem::kDamaged, "8192 bytes");
}

TEST_F(AFrontFile, WhoseTailIsBehindItsHeadIsRefused) {
  make(1);
  overwrite_word(kFrontTailOffset, 1 << 20);
  expect_refused(FrontProblem::kDamaged, "tail 1048576");
}

TEST_F(AFrontFile, ThatHoldsMoreThanItCanIsRefused) {
  make(1);
  overwrite_word(kFrontHeadOffset, request_.capacity + 8);
  expect_refused(FrontProblem::kDamaged, "head 65544");
}

TEST_F(AFrontFile, WhoseWordsAreNotAlignedIsRefused) {
  make(1);
  overwrite_word(kFrontHeadOffset, 57);
  expect_refused(FrontProblem::kDamaged, "head 57");
}

TEST_F(AFrontFile, OfSomebodyElsesContentIsRefusedAndLeftAsItIs) {
  overwrite(0, std::as_bytes(std::span("precious", 8)));
  expect_refused(FrontProblem::kNotOurs, "not a front");
  EXPECT_EQ(std::filesystem::file_size(request_.path), 8u);
}

TEST_F(AFrontFile, ReadableByOthersIsRefused) {
  make(1);
  ASSERT_EQ(::chmod(request_.path.c_str(), 0640), 0);
  expect_refused(FrontProblem::kNotOurs, "mode or links");
}

TEST_F(AFrontFile, WithAnotherNameIsRefused) {
  make(1);
  ASSERT_EQ(::link(request_.path.c_str(), directory_.file("other").c_str()), 0);
  expect_refused(FrontProblem::kNotOurs, "mode or links");
}

TEST_F(AFrontFile, OfAnotherOwnerIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: giving a file away needs root";
  make(1);
  ASSERT_EQ(::chown(request_.path.c_str(), 12345, 12345), 0);
  expect_refused(FrontProblem::kNotOurs, "uid 12345");
}

TEST_F(AFrontFile, BehindASymbolicLinkIsRefused) {
  make(1);
  const std::string target = request_.path;
  request_.path = directory_.file("link");
  ASSERT_EQ(::symlink(target.c_str(), request_.path.c_str()), 0);
  expect_refused(FrontProblem::kNotOurs, "symbolic link");
}

TEST_F(AFrontFile, ThatIsAPipeIsRefused) {
  ASSERT_EQ(::mkfifo(request_.path.c_str(), 0600), 0);
  expect_refused(FrontProblem::kNotOurs, "not a regular file");
}

TEST_F(AFrontFile, OnADiskIsRefused) {
  std::string directory = std::filesystem::temp_directory_path() / "memfail-front-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  request_.path = directory + "/front";
  const auto opened = open_front(request_);
  std::filesystem::remove_all(directory);
  if (opened.has_value()) GTEST_SKIP() << "SKIPPED: the folder for temporary files is a tmpfs";
  EXPECT_EQ(opened.error().problem, FrontProblem::kRefused);
  EXPECT_THAT(opened.error().text, HasSubstr("not on a tmpfs"));
}

TEST_F(AFrontFile, InAFolderThatIsNotThereIsRefused) {
  request_.path = directory_.file("no/front");
  expect_refused(FrontProblem::kRefused, "No such file or directory");
}

TEST_F(AFrontFile, OfAnImpossibleSizeIsRefused) {
  request_.capacity = 4096;
  expect_refused(FrontProblem::kRefused, "4096 bytes is not possible");
  request_.capacity = (64 << 10) + 8;
  expect_refused(FrontProblem::kRefused, "65544 bytes is not possible");
}

TEST_F(AFrontFile, ForWhichThereIsNoRoomIsRefusedWithTheSizeNeeded) {
  request_.capacity = std::size_t{1} << 50;
  expect_refused(FrontProblem::kRefused, "no room for 1125899906846720 bytes");
}

}  // namespace
}  // namespace memfail::journal
