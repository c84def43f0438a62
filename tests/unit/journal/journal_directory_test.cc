// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/journal_directory.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/unit/journal/scratch_directory.h"

namespace memfail::journal {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr JournalGeometry kSmall{3, kMinFileSize};

class JournalDirectoryTest : public testing::Test {
 protected:
  std::string refusal(const JournalGeometry& geometry = kSmall) {
    const auto opened = open_journal_directory(path_, geometry);
    return opened ? "" : opened.error();
  }
  void put(const std::string& name, const std::string& text) {
    std::ofstream(path_ + "/" + name) << text;
  }

  ScratchDirectory scratch_;
  std::string path_ = scratch_.path();
};

TEST_F(JournalDirectoryTest, MakesItsFilesFullOfZeros) {
  const auto opened = open_journal_directory(path_, kSmall);
  ASSERT_TRUE(opened) << opened.error();
  ASSERT_EQ(opened->files.size(), 3u);
  for (const char* name : {"journal.0", "journal.1", "journal.2"}) {
    struct stat about{};
    ASSERT_EQ(::stat((path_ + "/" + name).c_str(), &about), 0);
    EXPECT_EQ(about.st_size, static_cast<off_t>(kMinFileSize));
    EXPECT_GE(about.st_blocks * 512, about.st_size) << "a hole would need room later";
    EXPECT_EQ(about.st_mode & 0777, 0600u);
  }
}

TEST_F(JournalDirectoryTest, OpensWhatItMadeAndMoreFilesWhenAskedFor) {
  ASSERT_TRUE(open_journal_directory(path_, kSmall));
  const auto more = open_journal_directory(path_, {5, kMinFileSize});
  ASSERT_TRUE(more) << more.error();
  EXPECT_EQ(more->files.size(), 5u);
}

TEST_F(JournalDirectoryTest, GoesOnFillingWhatAnEarlierStartLeft) {
  put("journal.0", std::string(10000, '\0'));
  const auto opened = open_journal_directory(path_, kSmall);
  ASSERT_TRUE(opened) << opened.error();
  EXPECT_EQ(fs::file_size(path_ + "/journal.0"), kMinFileSize);
}

TEST_F(JournalDirectoryTest, RefusesWhatIsMissingOrNoDirectory) {
  path_ += "/nothing";
  EXPECT_THAT(refusal(), HasSubstr("does not exist; make it: install -d -m 0700"));
  std::ofstream(path_ + "") << "a file";
  EXPECT_THAT(refusal(), HasSubstr("is not a directory"));
}

TEST_F(JournalDirectoryTest, RefusesADirectoryThatOthersMayWrite) {
  ASSERT_EQ(::chmod(path_.c_str(), 0775), 0);
  EXPECT_THAT(refusal(), HasSubstr("has mode 0775, so others may write to it; chmod go-w"));
}

TEST_F(JournalDirectoryTest, RefusesSomebodyElsesDirectory) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  ASSERT_EQ(::chown(path_.c_str(), 4321, 0), 0);
  EXPECT_THAT(refusal(), HasSubstr("belongs to uid 4321, but memfaild runs as uid 0"));
}

TEST_F(JournalDirectoryTest, LeavesADirectoryWithOtherFilesAsItWas) {
  put("photos.tar", "x");
  EXPECT_THAT(refusal(), HasSubstr("holds 'photos.tar', which is not memfaild's"));
  EXPECT_FALSE(fs::exists(path_ + "/lock"));
  EXPECT_FALSE(fs::exists(path_ + "/journal.0"));
}

TEST_F(JournalDirectoryTest, TakesNamesThatOnlyLookLikeItsOwnForForeign) {
  for (const char* name : {"journal.", "journal.01", "journal.1024", "journal.1x", "journal.-1"}) {
    put(name, "");
    EXPECT_THAT(refusal(), HasSubstr("which is not memfaild's")) << name;
    fs::remove(path_ + "/" + name);
  }
}

TEST_F(JournalDirectoryTest, NamesTheOwnerOfADirectoryInUse) {
  const auto first = open_journal_directory(path_, kSmall);
  ASSERT_TRUE(first);
  EXPECT_THAT(refusal(),
              HasSubstr("in use by another memfaild (pid " + std::to_string(::getpid()) + ")"));
}

TEST_F(JournalDirectoryTest, IsFreeAgainOnceItsOwnerIsKilled) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto opened = open_journal_directory(path_, kSmall);
    ::raise(opened ? SIGKILL : SIGTERM);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_EQ(refusal(), "");
}

TEST_F(JournalDirectoryTest, RefusesFilesOfAnotherSizeOrCount) {
  ASSERT_TRUE(open_journal_directory(path_, {4, kMinFileSize}));
  EXPECT_THAT(refusal(), HasSubstr("holds 4 files, more than the 3 of --journal-files"));
  put("journal.0", std::string(1000, 'x'));
  EXPECT_THAT(refusal({4, kMinFileSize}), HasSubstr("has 1000 bytes, not the 65536"));
  put("journal.0", std::string(kMinFileSize + 1, '\0'));
  EXPECT_THAT(refusal({4, kMinFileSize}), HasSubstr("has 65537 bytes, not the 65536"));
}

TEST_F(JournalDirectoryTest, RefusesLinksAndWhatIsNoFile) {
  fs::create_symlink("/dev/zero", path_ + "/journal.1");
  EXPECT_THAT(refusal(), HasSubstr("journal.1' cannot be opened"));
  fs::remove(path_ + "/journal.1");
  ASSERT_EQ(::mkfifo((path_ + "/journal.1").c_str(), 0600), 0);
  EXPECT_THAT(refusal(), HasSubstr("journal.1' is not a regular file"));
}

TEST_F(JournalDirectoryTest, RefusesAGeometryThatCannotServe) {
  EXPECT_THAT(refusal({2, kMinFileSize}), HasSubstr("--journal-files 2 is not from 3 to 1024"));
  EXPECT_THAT(refusal({8, 100}), HasSubstr("--journal-size 100 is not a multiple of 4096"));
}

// A real file system that is really full.
TEST_F(JournalDirectoryTest, SaysHowMuchRoomItNeedsAndLeavesNothingOnAFullDisk) {
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=128k,mode=0700") != 0) {
    GTEST_SKIP() << "may not mount a tmpfs here";
  }
  EXPECT_THAT(refusal(), HasSubstr("needs 196608 more bytes and "));
  EXPECT_THAT(refusal(), HasSubstr("are free there"));
  EXPECT_FALSE(fs::exists(path_ + "/journal.0"));
  EXPECT_EQ(::umount(path_.c_str()), 0);
}

TEST_F(JournalDirectoryTest, CanBeReadWhileItIsInUseAndIsNotChangedByThat) {
  const auto owner = open_journal_directory(path_, kSmall);
  ASSERT_TRUE(owner);
  const auto reader = open_journal_to_read(path_);
  ASSERT_TRUE(reader) << reader.error();
  EXPECT_EQ(reader->files.size(), 3u);
  EXPECT_EQ(reader->geometry.file_size, kMinFileSize);
  EXPECT_LT(::write(reader->files[0].get(), "x", 1), 0);
}

TEST_F(JournalDirectoryTest, HasNothingToReadInAnEmptyDirectory) {
  const auto reader = open_journal_to_read(path_);
  ASSERT_FALSE(reader);
  EXPECT_THAT(reader.error(), HasSubstr("holds no journal"));
}

}  // namespace
}  // namespace memfail::journal
