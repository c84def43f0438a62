// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/policy_check.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace memfail::ctl {
namespace {

using nlohmann::json;
using ::testing::internal::CaptureStderr;
using ::testing::internal::CaptureStdout;
using ::testing::internal::GetCapturedStderr;
using ::testing::internal::GetCapturedStdout;

struct Said {
  int status = -1;
  std::string out;
  std::string error;
};

class PolicyCheck : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / "memfailctl-test-XXXXXX";
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/p.json";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Said check(const std::string& text, bool as_json = false) {
    std::ofstream(path_) << text;
    return check_file(path_, as_json);
  }
  static Said check_file(const std::string& path, bool as_json = false) {
    Said said;
    CaptureStdout();
    CaptureStderr();
    said.status = check_policy(path, as_json, false);
    said.out = GetCapturedStdout();
    said.error = GetCapturedStderr();
    return said;
  }

  std::string directory_;
  std::string path_;
};

TEST_F(PolicyCheck, SummarizesAGoodPolicy) {
  const Said said = check(R"({"version": 1, "default": {"policy": "qemu"},
    "vms": [{"name": "db*", "policy": "recommended", "storm_pages": 9}, {"name": "x"}]})");
  EXPECT_EQ(said.status, 0);
  EXPECT_EQ(said.error, "");
  EXPECT_THAT(said.out, ::testing::StartsWith(path_ + ": good, digest "));
  EXPECT_THAT(said.out, ::testing::EndsWith(
                            ", 2 patterns\n"
                            "VMS       RULES\n"
                            "db*       policy recommended (not qemu), storm_pages 9 (not 64)\n"
                            "x         as the default\n"
                            "(others)  default: policy qemu (not recommended)\n"));
}

TEST_F(PolicyCheck, SummarizesAPolicyWithoutPatterns) {
  const Said said = check(R"({"version": 1})");
  EXPECT_EQ(said.status, 0);
  EXPECT_THAT(said.out, ::testing::EndsWith("(all)  default: as built in, recommended\n"));
}

TEST_F(PolicyCheck, SaysEachErrorInItsLine) {
  const Said said = check("{\"version\": 2,\n \"vms\": [{\"name\": \"\"}]}");
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(said.out, "");
  EXPECT_EQ(said.error, path_ + ":1:2: version: 2: must be 1\n" + path_ +
                            ":2:11: vms[0].name: \"\": must have at least one character\n");
}

TEST_F(PolicyCheck, AnswersProgramsInJson) {
  const Said said = check(R"({"version": 1, "vms": [{"name": "db*", "storm_pages": 9}]})", true);
  EXPECT_EQ(said.status, 0);
  const json answer = json::parse(said.out);
  EXPECT_EQ(answer["good"], true);
  EXPECT_EQ(answer["digest"].get<std::string>().size(), 16U);
  EXPECT_EQ(answer["vms"][0]["name"], "db*");
  EXPECT_EQ(answer["vms"][0]["differs"], json::array({"storm_pages"}));
  EXPECT_EQ(answer["vms"][0]["rules"]["storm_pages"], 9);
  EXPECT_EQ(answer["default"]["differs"], json::array());
}

TEST_F(PolicyCheck, TellsProgramsOfErrorsOnStdout) {
  const Said said = check("{\"version\": 2}", true);
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(said.error, "");
  EXPECT_EQ(json::parse(said.out),
            json::parse(R"({"file": ")" + path_ + R"(", "good": false, "errors": [
              {"line": 1, "column": 2, "place": "version", "text": "2: must be 1"}]})"));
}

TEST_F(PolicyCheck, SaysWhenThereIsNoFile) {
  const Said said = check_file(directory_ + "/none");
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(said.error, directory_ + "/none: No such file or directory\n");
  EXPECT_EQ(json::parse(check_file(directory_ + "/none", true).out)["errors"][0]["text"],
            "No such file or directory");
}

TEST_F(PolicyCheck, SaysThatThereMayBeMore) {
  std::string vms = "{}";
  for (int i = 0; i < 30; ++i) vms += ", {}";
  const Said said = check("{\"version\": 1, \"vms\": [" + vms + "]}");
  EXPECT_EQ(std::count(said.error.begin(), said.error.end(), '\n'), 21);
  EXPECT_THAT(said.error, ::testing::EndsWith(": there may be more\n"));
}

}  // namespace
}  // namespace memfail::ctl
