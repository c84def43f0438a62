// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "sidecar/policy/compile.h"

namespace memfail::policy {
namespace {

class Load : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / "memfail-policy-XXXXXX";
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string file(const std::string& text) const {
    const std::string path = directory_ + "/policy.json";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  static std::string refusal(const std::string& name) {
    const auto set = load(name);
    return set ? "" : set.error();
  }

  std::string directory_;
};

TEST_F(Load, KnowsWhatIsBuiltIn) {
  EXPECT_EQ(load("qemu")->digest(), PolicySet::built_in(decision::Policy::kQemu).digest());
  EXPECT_EQ(load("recommended")->digest(), PolicySet().digest());
}

TEST_F(Load, ReadsAFile) {
  const auto set = load(file(R"({"version": 1, "default": {"storm_pages": 7}})"));
  ASSERT_TRUE(set) << set.error();
  EXPECT_EQ(set->rules_for("x").storm_pages, 7U);
}

TEST_F(Load, SaysWhatIsBuiltInToWhoMistypesIt) {
  EXPECT_EQ(refusal("recomended"),
            "'recomended': No such file or directory; built in are 'recommended' and 'qemu'");
  EXPECT_EQ(refusal(directory_ + "/none"), "'" + directory_ + "/none': No such file or directory");
  EXPECT_EQ(refusal(directory_), "'" + directory_ + "': Is a directory");
}

TEST_F(Load, NamesThePlaceAndHowManyMoreThereAre) {
  const std::string one = file("{\"version\": 2}");
  EXPECT_EQ(refusal(one), one + ":1:2: version: 2: must be 1");
  const std::string two = file("{\"version\": 2,\n\"vms\": [{}]}");
  EXPECT_EQ(refusal(two),
            two + ":1:2: version: 2: must be 1 (and 1 more: memfailctl policy check)");
}

TEST_F(Load, ReadsNoMoreThanTellsThatItIsTooMuch) {
  EXPECT_EQ(read_text(file(std::string(kMaxText, 'x')))->size(), kMaxText);
  EXPECT_EQ(read_text(file(std::string(2 * kMaxText, 'x')))->size(), kMaxText + 1);
  EXPECT_EQ(read_text("/dev/zero")->size(), kMaxText + 1);
  EXPECT_EQ(refusal("/dev/zero"), "/dev/zero: larger than the limit of 262144 bytes");
}

TEST_F(Load, ReadsAPipe) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string text = R"({"version": 1})";
  ASSERT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::close(ends[1]);
  EXPECT_TRUE(load("/dev/fd/" + std::to_string(ends[0])));
  ::close(ends[0]);
}

}  // namespace
}  // namespace memfail::policy
