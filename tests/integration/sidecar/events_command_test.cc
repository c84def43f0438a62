// SPDX-License-Identifier: BSD-3-Clause
//
// memfailctl events, on a real memfaild.
#include <signal.h>

#include <filesystem>
#include <sstream>

#include "ctl_process.h"
#include "daemon.h"
#include "event_stream.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace memfail::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::uint64_t seq_of(const std::string& line) {
  const json event = json::parse(line, nullptr, false);
  return event.is_object() ? event["data"]["memfail"]["seq"].get<std::uint64_t>() : 0;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

TEST(EventsCommand, PrintsATableOfAllThereIs) {
  const Daemon daemon;
  publish(daemon, 2);
  CtlProcess ctl({"events", "--socket", daemon.events()});
  const std::vector<std::string> lines = lines_of(ctl.rest());
  EXPECT_EQ(ctl.status(), 0);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_THAT(lines[0], StartsWith("   SEQ  TIME"));
  EXPECT_THAT(lines[2], StartsWith("     2  2"));
  EXPECT_THAT(lines[2], Not(HasSubstr("\x1b")));
  EXPECT_THAT(ctl.errors(), HasSubstr("from event 1 on: not on disk"));
}

TEST(EventsCommand, SaysSoWhereThereIsNone) {
  const Daemon daemon;
  publish(daemon, 1);
  CtlProcess ctl({"events", "--vm", "db*", "--socket", daemon.events()});
  EXPECT_EQ(ctl.rest(), "");
  EXPECT_EQ(ctl.status(), 0);
  EXPECT_THAT(ctl.errors(), HasSubstr("no such event"));
}

TEST(EventsCommand, SaysWhatAWrongFilterMayBe) {
  const Daemon daemon;
  CtlProcess ctl({"events", "--action", "reset,reboot", "--socket", daemon.events()});
  EXPECT_EQ(ctl.status(), 1);
  EXPECT_EQ(ctl.errors(),
            "memfailctl: \"action\" has no 'reboot'; it has: ignore, inject, fatal, reset\n");
}

TEST(EventsCommand, EndsWithTwoWhereSomethingIsMissing) {
  const Daemon daemon;
  publish(daemon, 2);
  CtlProcess ctl({"events", "--since", "7", "--journal", "older", "--socket", daemon.events()});
  EXPECT_EQ(lines_of(ctl.rest()).size(), 3U);
  EXPECT_EQ(ctl.status(), 2);
  EXPECT_THAT(ctl.errors(), HasSubstr("what came in journal older from event 7 on cannot be had"));
}

TEST(EventsCommand, SaysWhatIsWrongWithTheSocket) {
  const Daemon daemon;
  CtlProcess nothing({"events", "--follow", "--socket", daemon.directory() + "/none"});
  EXPECT_EQ(nothing.status(), 1);
  EXPECT_THAT(nothing.errors(), HasSubstr("is memfaild running"));
  CtlProcess wrong({"events", "--socket", daemon.ctl()});
  EXPECT_EQ(wrong.status(), 1);
  EXPECT_THAT(wrong.errors(), HasSubstr("give the path of --events"));
}

TEST(EventsCommand, FollowsPastADeathOfMemfaild) {
  auto first = std::make_unique<Daemon>();
  const Daemon second;
  const std::filesystem::path link = second.directory() + "/link";
  std::filesystem::create_symlink(first->events(), link);
  publish(*first, 3);
  CtlProcess ctl({"events", "--follow", "--since", "2", "--json", "--socket", link});
  EXPECT_EQ(seq_of(ctl.line()), 2U);
  EXPECT_EQ(seq_of(ctl.line()), 3U);
  publish(second, 1);
  first->signal(SIGKILL);
  EXPECT_TRUE(ctl.says("memfaild closed the stream; waiting for it to come back"));
  std::filesystem::remove(link);
  std::filesystem::create_symlink(second.events(), link);
  EXPECT_EQ(seq_of(ctl.line()), 1U);
  EXPECT_TRUE(ctl.says("memfaild is back"));
  EXPECT_TRUE(ctl.says("from event 4 on cannot be had; all events of the new one follow"));
  publish(second, 1);
  EXPECT_EQ(seq_of(ctl.line()), 2U);
  ctl.signal(SIGTERM);
  EXPECT_EQ(ctl.status(), 128 + SIGTERM);
}

TEST(EventsCommand, GoesOnByItselfWhenItWasTooSlow) {
  constexpr std::uint64_t kEvents = 4096 + 1600;
  const Daemon daemon;
  CtlProcess ctl({"events", "--follow", "--since", "0", "--json", "--socket", daemon.events()});
  publish(daemon, kEvents);  // nobody reads the pipe
  std::vector<json> lines;
  do {
    lines.push_back(json::parse(ctl.line(), nullptr, false));
    ASSERT_TRUE(lines.back().is_object());
  } while (lines.back()["data"]["memfail"]["seq"] != kEvents);
  EXPECT_TRUE(ctl.says("cut this reader off"));
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  const std::string errors = ctl.errors();
  const std::size_t gap = errors.find("gap: events ");
  ASSERT_NE(gap, std::string::npos) << errors;
  ASSERT_EQ(std::sscanf(errors.c_str() + gap, "gap: events %lu to %lu", &from, &to), 2);
  const json said = {{"memfaild", {{"gap", {{"from", from}, {"to", to}}}}}};
  lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(from - 1), said);
  EXPECT_EQ(told_or_gone(lines), kEvents + 1);
}

TEST(EventsCommand, HasColoursAndFitsOnATerminal) {
  ::setenv("TERM", "xterm", 1);
  ::unsetenv("NO_COLOR");
  const Daemon daemon;
  publish(daemon, 1);
  CtlProcess ctl({"events", "--socket", daemon.events()}, CtlProcess::Output::kTerminal);
  const std::vector<std::string> lines = lines_of(ctl.rest());
  EXPECT_EQ(ctl.status(), 0);
  ASSERT_GE(lines.size(), 4U);
  EXPECT_THAT(lines[0], StartsWith("\x1b[1m   SEQ  TIME      VM "));
  for (const std::string& line : lines)
    EXPECT_LE(line.size(), 100 + std::string("\x1b[1m\x1b[0m\r").size());
}

TEST(EventsCommand, HonoursNoColor) {
  ::setenv("TERM", "xterm", 1);
  const Daemon daemon;
  publish(daemon, 1);
  ::setenv("NO_COLOR", "1", 1);
  CtlProcess plain({"events", "--socket", daemon.events()}, CtlProcess::Output::kTerminal);
  EXPECT_THAT(plain.rest(), Not(HasSubstr("\x1b")));
  CtlProcess asked({"events", "--color", "always", "--socket", daemon.events()});
  EXPECT_THAT(asked.rest(), HasSubstr("\x1b[1m"));
  ::unsetenv("NO_COLOR");
  CtlProcess never({"events", "--color=never", "--socket", daemon.events()},
                   CtlProcess::Output::kTerminal);
  EXPECT_THAT(never.rest(), Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace memfail::test
