// SPDX-License-Identifier: BSD-3-Clause
//
// memfailctl journal verify and dump, as processes: beside a memfaild that writes, on what
// one left that was killed, and on what is damaged, another's, or none.
#include <signal.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ctl_process.h"
#include "daemon.h"
#include "event_stream.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shm/crc32c.h"

namespace memfail::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr std::uint64_t kFileSize = 64 << 10;
constexpr std::size_t kFullFiles = 1200;  // events: more than three files hold

struct Said {
  int status = -1;
  std::string out;
  std::vector<std::string> errors;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

Said run(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "journal");
  CtlProcess ctl(std::move(arguments));
  Said said;
  said.out = ctl.rest();
  said.status = ctl.status();
  said.errors = lines_of(ctl.errors());
  return said;
}

// The seqs of the events in a dump, each line of which is JSON.
std::vector<std::uint64_t> seqs_in(const std::string& dump) {
  std::vector<std::uint64_t> out;
  for (const std::string& line : lines_of(dump)) {
    const json record = json::parse(line, nullptr, false);
    EXPECT_TRUE(record.is_object()) << line;
    if (record.contains("event")) out.push_back(record["event"]["data"]["memfail"]["seq"]);
  }
  return out;
}

class JournalCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(disk_.data()), nullptr);
    ASSERT_NE(::mkdtemp(memory_.data()), nullptr);
  }
  void TearDown() override {
    daemon_.reset();
    fs::remove_all(disk_);
    fs::remove_all(memory_);
  }
  void start() {
    daemon_ = std::make_unique<Daemon>(std::vector<std::string>{
        "--front", memory_ + "/front", "--journal", disk_, "--journal-files", "4", "--journal-size",
        std::to_string(kFileSize)});
    ASSERT_TRUE(daemon_->log_has("listening on")) << daemon_->log();
  }
  // Until they are on the disk.
  void tell(std::size_t events) {
    EventStream live(daemon_->events());
    (void)live.notice();
    publish(*daemon_, events);
    for (std::size_t i = 0; i < events; ++i) ASSERT_TRUE(live.line()) << i;
  }
  void leave_behind(std::size_t events) {
    ASSERT_NO_FATAL_FAILURE(start());
    constexpr std::size_t kAtATime = 100;  // a reader that does not read is cut off
    for (std::size_t told = 0; told < events; told += kAtATime) {
      ASSERT_NO_FATAL_FAILURE(tell(std::min(kAtATime, events - told)));
    }
    daemon_->signal(SIGKILL);
    daemon_->wait();
  }

  std::string file(int number) const { return disk_ + "/journal." + std::to_string(number); }
  json report() const { return json::parse(run({"verify", "--json", disk_}).out); }
  json report_of(int number) const {
    const json all = report();
    for (const json& one : all["files"]) {
      if (one["name"] == "journal." + std::to_string(number)) return one;
    }
    return {};
  }
  void write_at(int number, std::uint64_t offset, std::span<const char> bytes) const {
    std::fstream out(file(number), std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(offset));
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    ASSERT_TRUE(out.good());
  }
  void flip_at(int number, std::uint64_t offset) const {
    std::fstream out(file(number), std::ios::in | std::ios::out | std::ios::binary);
    out.seekg(static_cast<std::streamoff>(offset));
    const auto byte = static_cast<char>(out.get() ^ 1);
    out.seekp(static_cast<std::streamoff>(offset));
    out.put(byte);
    ASSERT_TRUE(out.good());
  }
  // Both say no, in one line that names the file.
  void expect_refused(const std::string& named, const std::string& why) const {
    for (const char* command : {"verify", "dump"}) {
      const Said said = run({command, disk_});
      EXPECT_EQ(said.status, 1) << command;
      ASSERT_EQ(said.errors.size(), 1U) << command << said.out;
      EXPECT_THAT(said.errors[0], StartsWith("memfailctl: "));
      EXPECT_THAT(said.errors[0], HasSubstr(named));
      EXPECT_THAT(said.errors[0], HasSubstr(why));
    }
  }

  std::string disk_ = "/tmp/memfailctl-journal-XXXXXX";
  std::string memory_ = "/dev/shm/memfailctl-journal-XXXXXX";
  std::unique_ptr<Daemon> daemon_;
};

TEST_F(JournalCommand, AreGoodForAJournalThatIsBeingWritten) {
  start();
  const std::string id = EventStream(daemon_->events()).notice()["journal"];
  for (int round = 0; round < 10; ++round) {
    ASSERT_NO_FATAL_FAILURE(tell(20));
    publish(*daemon_, 60);  // while it is looked at
    const Said verified = run({"verify", disk_});
    EXPECT_EQ(verified.status, 0) << verified.out;
    EXPECT_THAT(verified.out, StartsWith("journal " + id + ": good\n"));
    EXPECT_THAT(verified.errors, IsEmpty());
    const Said dumped = run({"dump", disk_});
    EXPECT_EQ(dumped.status, 0) << dumped.out;
    const std::vector<std::uint64_t> seqs = seqs_in(dumped.out);
    EXPECT_GE(seqs.size(), 20U);
    EXPECT_TRUE(std::ranges::is_sorted(seqs));
  }
}

TEST_F(JournalCommand, TellAllThatAKilledMemfaildHadTold) {
  leave_behind(50);
  const json found = report();
  EXPECT_EQ(found["good"], true);
  EXPECT_EQ(found["journal"].get<std::string>().size(), 32U);
  EXPECT_EQ(found["files"].size(), 4U);
  const Said dumped = run({"dump", disk_});
  EXPECT_EQ(dumped.status, 0);
  const std::vector<std::uint64_t> seqs = seqs_in(dumped.out);
  ASSERT_EQ(seqs.size(), 50U);
  EXPECT_EQ(seqs.front(), 1U);
  EXPECT_EQ(seqs.back(), 50U);
}

TEST_F(JournalCommand, OnlyRead) {
  leave_behind(kFullFiles);
  const auto bytes_of_all = [&] {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(disk_)) {
      std::ostringstream out;
      out << entry.path().filename() << std::ifstream(entry.path(), std::ios::binary).rdbuf();
      all.push_back(out.str());
    }
    std::ranges::sort(all);
    return all;
  };
  const std::vector<std::string> was = bytes_of_all();
  EXPECT_EQ(run({"verify", disk_}).status, 0);
  EXPECT_EQ(run({"dump", disk_}).status, 0);
  EXPECT_EQ(bytes_of_all(), was);
}

TEST_F(JournalCommand, FindNothingWrongWithATornEnd) {
  leave_behind(50);
  flip_at(0, report_of(0)["used"].get<std::uint64_t>() - 8);
  EXPECT_EQ(run({"verify", disk_}).status, 0);
  EXPECT_EQ(report_of(0)["state"], "torn");
  const Said dumped = run({"dump", disk_});
  EXPECT_EQ(dumped.status, 0);
  EXPECT_EQ(seqs_in(dumped.out).size(), 49U);
}

TEST_F(JournalCommand, NameTheFileWhoseRecordsAreDamaged) {
  leave_behind(kFullFiles);
  const json files = report()["files"];
  const json& older = files[2];  // neither the newest nor one that may be partly used again
  ASSERT_GE(older["generation"], 2U);
  const std::string name = older["name"];
  flip_at(name.back() - '0', older["used"].get<std::uint64_t>() / 2);
  expect_refused("/" + name + "' is damaged: records ", " cannot be read");
  EXPECT_EQ(report()["good"], false);
}

TEST_F(JournalCommand, NameAFileThatIsAnothers) {
  leave_behind(10);
  write_at(2, 0, std::array{'t', 'e', 'x', 't'});
  expect_refused(file(2), "does not begin as a journal does");
}

TEST_F(JournalCommand, NameAFileOfANewerFormat) {
  leave_behind(10);
  std::array<char, 64> header{};
  std::ifstream(file(0), std::ios::binary).read(header.data(), header.size());
  header[8] = 2;  // the version
  const std::uint32_t crc = shm::crc32c(0, std::as_bytes(std::span(header).first(60)));
  std::memcpy(&header[60], &crc, sizeof crc);
  write_at(0, 0, header);
  expect_refused(file(0), "format version 2");
}

TEST_F(JournalCommand, NameAFileOfAnotherJournal) {
  leave_behind(kFullFiles);
  const std::string aside = disk_ + ".aside";
  fs::rename(disk_, aside);
  fs::create_directory(disk_);
  fs::permissions(disk_, fs::perms::owner_all);
  fs::remove(memory_ + "/front");
  leave_behind(10);
  fs::copy_file(aside + "/journal.2", file(2), fs::copy_options::overwrite_existing);
  fs::remove_all(aside);
  for (const char* command : {"verify", "dump"}) {
    const Said said = run({command, disk_});
    EXPECT_EQ(said.status, 1) << command;
    ASSERT_EQ(said.errors.size(), 1U);
    EXPECT_THAT(said.errors[0], HasSubstr("' is foreign: of journal "));
  }
}

// It looks like one that was begun and not finished, but no power cut leaves this.
TEST_F(JournalCommand, NameAFileThatAStartWouldRefuse) {
  leave_behind(50);
  flip_at(0, 64 + 40 + 8);  // in its checkpoint
  expect_refused(file(0), "records stand behind a checkpoint that is not whole");
}

TEST_F(JournalCommand, NameAFileThatIsMissing) {
  leave_behind(10);
  fs::remove(file(1));
  expect_refused(file(1), "No such file");
}

TEST_F(JournalCommand, NameADirectoryThatHoldsNoJournal) {
  expect_refused(disk_, "holds no journal");
  fs::remove(disk_);
  expect_refused(disk_, "does not exist");
  std::ofstream(disk_) << "text";
  expect_refused(disk_, "is not a directory");
  const Said said = run({"verify", "--json", disk_});
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(said.out, "");
}

TEST_F(JournalCommand, WantADirectory) {
  const Said said = run({"verify"});
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.errors, ElementsAre(HasSubstr("DIR is required")));
}

}  // namespace
}  // namespace memfail::test
