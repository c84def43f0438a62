// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/event_table.h"

#include <cstdlib>
#include <ctime>
#include <sstream>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sidecar/ctl/json_text.h"

namespace memfail::ctl {
namespace {

using nlohmann::json;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class EventTableTest : public ::testing::Test {
 protected:
  EventTableTest() {
    ::setenv("TZ", "UTC-2", 1);  // two hours east
    ::tzset();
  }

  json event_ = json::parse(R"({"event":"MEMORY_FAILURE",
    "timestamp":{"seconds":1700000000,"microseconds":42},
    "data":{"recipient":"guest","action":"inject",
      "flags":{"action-required":true,"recursive":false},
      "memfail":{"seq":3,"vm":{"uuid":"u","name":"db1"},"vcpu":1,"hva":"0x7f0000005000",
        "gpa":"0x5000","size":4096,"reason-text":"The page is the guest's, and the guest is told",
        "delivered":"delivered","decided-by":"sidecar","count":1,"durable":true}}})");
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

TEST_F(EventTableTest, WithoutATerminalIsOneLineAnEvent) {
  EventTable table({});
  EXPECT_EQ(table.header(),
            "   SEQ  TIME                 VM            TO/ACTION          VCPU  ADDRESS          "
            "       SIZE  RESULT        REASON\n");
  EXPECT_EQ(table.row(event_),
            "     3  2023-11-15 00:13:20  db1           guest/inject          1  0x5000           "
            "      4 KiB  delivered     The page is the guest's, and the guest is told\n");
}

TEST_F(EventTableTest, ColumnsStandBelowTheirTitles) {
  for (const std::size_t width : {0U, 80U, 130U, 200U}) {
    EventTable table({.width = width});
    const std::string header = table.header();
    const std::string row = lines_of(table.row(event_))[width == 80 ? 1 : 0];
    EXPECT_EQ(header.find("VM"), row.find("db1")) << width;
    EXPECT_EQ(header.find("TO/ACTION"), row.find("guest/inject")) << width;
    EXPECT_EQ(header.find("ADDRESS"), row.find("0x5000")) << width;
  }
}

TEST_F(EventTableTest, NoLineIsWiderThanTheTerminal) {
  event_["data"]["memfail"]["reason-text"] =
      "A sentence with many words, so many that it fits beside nothing, because whoever wrote it "
      "did not know when to stop, and went on and on, to the end of the line and over it";
  event_["data"]["memfail"]["vm"]["name"] = std::string(60, 'x');
  for (const std::size_t width : {80U, 100U, 123U, 124U, 159U, 160U, 200U}) {
    EventTable table({.width = width});
    for (int i = 0; i < 2; ++i) {
      for (const std::string& line : lines_of(table.row(event_))) {
        EXPECT_LE(columns_of(line), width) << line;
      }
    }
    EXPECT_THAT(table.row(event_), HasSubstr("line and over it"));
  }
}

TEST_F(EventTableTest, ANarrowOneSaysEachDayOnce) {
  EventTable table({.width = 80});
  EXPECT_THAT(table.row(event_), StartsWith("2023-11-15\n     3  00:13:20  db1 "));
  EXPECT_THAT(table.row(event_), StartsWith("     3  00:13:20"));
  EXPECT_THAT(table.row(event_), EndsWith("\n        delivered: The page is the guest's, and the "
                                          "guest is told\n"));
}

TEST_F(EventTableTest, MarksWhatIsBadWhereColourIsWanted) {
  EventTable table({.colour = true});
  EXPECT_THAT(table.header(), StartsWith("\x1b[1m"));
  EXPECT_THAT(table.row(event_), HasSubstr("\x1b[33mguest/inject\x1b[0m "));
  EXPECT_THAT(table.row(event_), HasSubstr("\x1b[32mdelivered\x1b[0m "));
  event_["data"]["action"] = "reset";
  event_["data"]["memfail"]["delivered"] = "triple-fault";
  EXPECT_THAT(table.row(event_), HasSubstr("\x1b[1;31mguest/reset\x1b[0m "));
  EXPECT_THAT(table.row(event_), HasSubstr("\x1b[1;31mtriple-fault\x1b[0m "));
  EXPECT_THAT(EventTable({}).row(event_), Not(HasSubstr("\x1b")));
}

TEST_F(EventTableTest, SaysInWordsWhatIsUnusual) {
  event_["data"]["memfail"]["count"] = 16U;
  event_["data"]["memfail"]["drill"] = true;
  event_["data"]["memfail"]["late"] = true;
  event_["data"]["memfail"]["decided-by"] = "builtin";
  EXPECT_THAT(EventTable({}).row(event_),
              EndsWith("drill: The page is the guest's, and the guest is told; stands for 16 "
                       "incidents; decided by the VMM (builtin); memfaild's verdict came late\n"));
}

TEST_F(EventTableTest, ShowsTheVmmsAddressWhereTheGuestHasNone) {
  event_["data"]["memfail"]["gpa"] = nullptr;
  EXPECT_THAT(EventTable({}).row(event_), HasSubstr("hva 0x7f0000005000 "));
}

TEST_F(EventTableTest, KeepsControlCharactersOffTheTerminal) {
  event_["data"]["memfail"]["vm"]["name"] = "x\x1b[2J\u009b2Jy";
  const std::string row = EventTable({}).row(event_);
  EXPECT_THAT(row, Not(HasSubstr("\x1b")));
  EXPECT_THAT(row, Not(HasSubstr("\u009b")));
}

TEST_F(EventTableTest, ShowsWhatItDoesNotKnowAsADash) {
  EXPECT_THAT(EventTable({}).row(json::object()), StartsWith("     -  -  "));
}

}  // namespace
}  // namespace memfail::ctl
