// SPDX-License-Identifier: BSD-3-Clause
//
// `memfailctl explain` from its command line to what it prints.
#include "sidecar/ctl/explain_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace memfail::ctl {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

std::expected<std::string, std::string> answer(const std::string& arguments) {
  CLI::App command;
  ExplainOptions options;
  declare_explain(command, options);
  command.parse(arguments);
  return explanation_of(options, false);
}

std::string said(const std::string& arguments) {
  const auto text = answer(arguments);
  EXPECT_TRUE(text) << arguments << ": " << text.error();
  return text.value_or("");
}

json object(const std::string& arguments) { return json::parse(said("--json " + arguments)); }

TEST(ExplainCommand, TellsTheFailureTheRulesAndBothDecisions) {
  const std::string text = said("--mcip");
  EXPECT_THAT(text,
              HasSubstr("  report    sigbus, action required, guest RAM at 0x123456000, met by "
                        "the guest (in KVM_RUN)\n"));
  EXPECT_THAT(text, HasSubstr("  vCPU      CR4.MCE set, MCIP set; banks valid: none, off: none\n"));
  EXPECT_THAT(text, HasSubstr("   no  no hardware error\n"));
  EXPECT_THAT(text, HasSubstr("   -   the guest was told of the page before\n"));
  EXPECT_THAT(text, HasSubstr("  YES  MCIP is set and nothing is queued"));
  EXPECT_THAT(text, Not(HasSubstr("the guest can take it")));
  EXPECT_THAT(text, HasSubstr("Policy recommended decides\n  verdict   reset: the VM is reset\n"));
  EXPECT_THAT(text, HasSubstr("Policy qemu would decide\n  verdict   reset: the VM is reset\n"));
  EXPECT_THAT(text,
              HasSubstr("\n  event     MEMORY_FAILURE guest/reset, action required, recursive\n"));
}

TEST(ExplainCommand, TellsTheRecordAndWhatBecomesOfTheOthers) {
  const std::string text = said("--ar --gpa 0x203000");
  EXPECT_THAT(text,
              HasSubstr("  record    bank 9, status 0xbd80000000000134, address 0x203000, misc "
                        "0x8c, MCG_STATUS 0x7\n"));
  EXPECT_THAT(text, HasSubstr("  otherwise reset, where KVM does not take the record\n"));
  EXPECT_THAT(text, HasSubstr("  others    each that is ready for it gets a #MC"));
  EXPECT_THAT(said("--vcpus 1"), Not(HasSubstr("  others ")));
}

TEST(ExplainCommand, SaysWhereTheVcpusStateIsNotLookedAt) {
  EXPECT_THAT(said("--thread other"),
              HasSubstr("  vCPU      its state is not read for such a report\n"));
  EXPECT_THAT(said("--no-snapshot"), HasSubstr("  vCPU      its state could not be read\n"));
}

TEST(ExplainCommand, KeepsItsLinesReadable) {
  for (const char* arguments :
       {"", "--ao --vendor amd --paused", "--banks-valid 9", "--lmce --nested",
        "--cmci 0-4 --rule optional=deferred --ao", "--code 2"}) {
    std::istringstream lines(said(arguments));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
  }
}

TEST(ExplainCommand, GivesProgramsTheSame) {
  const json text = object("--ao --rule optional=deferred --cmci all --vcpus 4");
  EXPECT_EQ(text["policy"], "recommended with optional=deferred");
  EXPECT_EQ(text["rules"]["optional"], "deferred");
  EXPECT_EQ(text["input"]["severity"], "action-optional");
  EXPECT_EQ(text["input"]["guest"]["vcpus"], 4);
  EXPECT_EQ(text["input"]["vcpu"]["cmci"], "0x3ff");
  EXPECT_EQ(text["looked-at"].back()["result"], "decides");
  const json& decision = text["decision"];
  EXPECT_EQ(decision["verdict"], "inject-deferred");
  EXPECT_EQ(decision["because"], json({{"table", "recommended"},
                                       {"row", text["looked-at"].back()["row"]},
                                       {"when", text["looked-at"].back()["when"]}}));
  EXPECT_EQ(decision["record"]["status"], "0xbc000000000000c0");
  EXPECT_EQ(decision["siblings"], "none");
  EXPECT_EQ(decision["event"]["recipient"], "guest");
  EXPECT_EQ(decision["event"]["flags"]["action-required"], false);
  EXPECT_EQ(text["beside"]["policy"], "qemu");
  EXPECT_EQ(text["beside"]["decision"]["siblings"], "broadcast-qemu");
}

TEST(ExplainCommand, GivesNullForWhatIsNotThere) {
  const json none = object("--code 2 --no-snapshot --address vmm");
  EXPECT_TRUE(none["input"]["gpa"].is_null());
  EXPECT_TRUE(none["input"]["vcpu"].is_null());
  EXPECT_TRUE(none["decision"]["record"].is_null());
  EXPECT_TRUE(none["decision"]["otherwise"].is_null());
  EXPECT_TRUE(none["decision"]["event"].is_null());
}

TEST(ExplainCommand, HasAnErrorForWhatContradictsItself) {
  EXPECT_EQ(answer("--ar --ao").error(), "--ar, --ao, --code: give one of them");
  EXPECT_EQ(answer("--rule x").error(), "--rule: \"x\": must be MEMBER=VALUE, as untold=pause");
  EXPECT_THROW(said("--nonsense"), CLI::ParseError);
}

TEST(ExplainCommand, ItsExamplesAreGood) {
  CLI::App command;
  ExplainOptions options;
  declare_explain(command, options);
  std::istringstream lines(command.get_footer());
  int examples = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string name = "memfailctl explain ";
    const std::size_t at = line.find(name);
    if (at == std::string::npos || line.find("/etc/") != std::string::npos) continue;
    const std::string arguments = line.substr(at + name.size());
    said(arguments.substr(0, arguments.find_first_of("#|")));
    ++examples;
  }
  EXPECT_GT(examples, 5);
}

}  // namespace
}  // namespace memfail::ctl
