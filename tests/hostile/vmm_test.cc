// SPDX-License-Identifier: BSD-3-Clause
//
// While one process attacks memfaild through its socket, another VM's incidents are
// answered by it, and what the attack left behind goes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "daemon.h"
#include "tests/hostile/attack.h"
#include "tests/hostile/bystander.h"
#include "tests/integration/shm/child.h"

namespace memfail::hostile {
namespace {

using nlohmann::json;
using shm::testing::Child;
using test::Daemon;

constexpr int kQuietMs = 200;
constexpr int kAttackMs = 700;

std::vector<Attack> all_attacks() {
  std::vector<Attack> out;
  for (const auto& some :
       {message_attacks(), descriptor_attacks(), area_attacks(), connection_attacks()}) {
    out.insert(out.end(), some.begin(), some.end());
  }
  return out;
}

std::size_t descriptors_of(pid_t pid) {
  const auto folder = std::filesystem::path("/proc") / std::to_string(pid) / "fd";
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& one : std::filesystem::directory_iterator(folder)) ++count;
  return count;
}

// Pages may be met as often as we like; and a storm is no matter here.
std::string policy_in(const std::string& directory) {
  std::ofstream(directory + "/policy.json")
      << R"({"version": 1, "default": {"repeat_limit": 1000, "repeat_seconds": 1,
          "storm_pages": 100000, "storm_seconds": 1}})";
  return directory + "/policy.json";
}

class Directory {
 public:
  Directory() : path_("/dev/shm/memfaild-hostile-" + std::to_string(::getpid())) {
    std::filesystem::create_directory(path_);
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class HostileVmm : public ::testing::TestWithParam<Attack> {
 protected:
  Directory directory_;
  Daemon daemon_{
      {"--policy", policy_in(directory_.path()), "--front", directory_.path() + "/front"}};
  Bystander bystander_{daemon_.vms()};
};

double us(std::uint64_t ns) { return static_cast<double>(ns) / 1000; }

void print(const Latencies& quiet, const Latencies& attacked) {
  std::printf("verdicts of another VM: median %.1f us (%.2f x), p99 %.1f us (%.2f x), %zu in all\n",
              us(attacked.at(0.5)),
              static_cast<double>(attacked.at(0.5)) / static_cast<double>(quiet.at(0.5)),
              us(attacked.at(0.99)),
              static_cast<double>(attacked.at(0.99)) / static_cast<double>(quiet.at(0.99)),
              attacked.ns.size());
}

TEST_P(HostileVmm, TakesNothingFromAnother) {
  ASSERT_TRUE(bystander_.attached()) << daemon_.log();
  const Latencies quiet = bystander_.serve(kQuietMs);
  const std::size_t open_before = descriptors_of(daemon_.pid());
  Child attacker([&] {
    ::setpgid(0, 0);
    GetParam().run(daemon_.vms());
    return 0;
  });
  const Latencies attacked = bystander_.serve(kAttackMs);
  int status = 0;
  const bool over = ::waitpid(attacker.pid(), &status, WNOHANG | WNOWAIT) != 0;
  if (over && WIFEXITED(status) && WEXITSTATUS(status) == kCannotBeMade) {
    GTEST_SKIP() << "SKIPPED: this host does not let us make it";
  }
  ::kill(-attacker.pid(), SIGKILL);  // and its helpers
  (void)attacker.wait();
  EXPECT_EQ(attacked.unanswered, 0);
  print(quiet, attacked);
  if (GetParam().logged != nullptr) {
    EXPECT_TRUE(daemon_.log_has(GetParam().logged)) << daemon_.log();
  }
  // Its VMM is gone, and everything with it.
  EXPECT_TRUE(test::eventually([&] { return descriptors_of(daemon_.pid()) <= open_before; }))
      << descriptors_of(daemon_.pid()) << " descriptors, before " << open_before << "\n"
      << daemon_.log();
  EXPECT_EQ(bystander_.serve(kQuietMs).unanswered, 0);
  daemon_.signal(SIGTERM);
  EXPECT_EQ(daemon_.wait(), 0) << daemon_.log();
}

INSTANTIATE_TEST_SUITE_P(Attacks, HostileVmm, ::testing::ValuesIn(all_attacks()),
                         [](const auto& given) {
                           std::string name = given.param.name;
                           std::erase_if(name, [](char c) { return c == '\''; });
                           for (char& c : name) c = std::isalnum(c) != 0 ? c : '_';
                           return name;
                         });

}  // namespace
}  // namespace memfail::hostile
