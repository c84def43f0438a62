// SPDX-License-Identifier: BSD-3-Clause
//
// Each named step of an incident's life and of a re-attach, on either side: the process
// dies at exactly that instruction, and nothing is lost. Then the same once more, with
// the other process killed at once too.
#include <algorithm>
#include <csignal>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "tests/kill/armed_process.h"
#include "tests/kill/kill_test.h"

namespace memfail::kill {
namespace {

enum class When : std::uint8_t { kUnderLoad, kAtAttach };
enum class Dies : std::uint8_t { kAlone, kBoth };

// What consumers are told of the incident that its VM died in.
enum class Traces : std::uint8_t { kNone, kHalfWritten };

struct StepCase {
  const char* step;
  When when;
  Traces traces = Traces::kNone;
};

constexpr StepCase kSidecarSteps[] = {
    {"hello_taken", When::kAtAttach},       {"reply_area_made", When::kAtAttach},
    {"welcome_sent", When::kAtAttach},      {"commit_taken", When::kAtAttach},
    {"report_taken", When::kUnderLoad},     {"verdict_decided", When::kUnderLoad},
    {"verdict_recorded", When::kUnderLoad}, {"reply_begun", When::kUnderLoad},
    {"reply_committed", When::kUnderLoad},  {"waiter_woken", When::kUnderLoad},
    {"outcome_taken", When::kUnderLoad},    {"event_recorded", When::kUnderLoad},
    {"incident_retired", When::kUnderLoad},
};

constexpr StepCase kVmSteps[] = {
    {"cell_claimed", When::kUnderLoad, Traces::kHalfWritten},
    {"report_begun", When::kUnderLoad, Traces::kHalfWritten},
    {"report_committed", When::kUnderLoad},
    {"snapshot_begun", When::kUnderLoad},
    {"snapshot_committed", When::kUnderLoad},
    {"sidecar_kicked", When::kUnderLoad},
    {"wait_begun", When::kUnderLoad},
    {"verdict_seen", When::kUnderLoad},
    {"outcome_claimed", When::kUnderLoad},
    {"machine_check_set", When::kUnderLoad},
    {"outcome_begun", When::kUnderLoad},
    {"outcome_committed", When::kUnderLoad},
    {"hang_up_seen", When::kAtAttach},
    {"retired_read", When::kAtAttach},
    {"retired_kept", When::kAtAttach},
    {"hello_sent", When::kAtAttach},
    {"reply_area_mapped", When::kAtAttach},
    {"commit_sent", When::kAtAttach},
};

TEST(Steps, AllThatAreInTheProgramsAreKilledAt) {
  const auto names = [](const auto& cases) {
    std::set<std::string> all;
    for (const StepCase& one : cases) all.insert(one.step);
    return all;
  };
  std::set<std::string> cases = names(kSidecarSteps);
  cases.merge(names(kVmSteps));
  std::set<std::string> built;
  for (const auto& step : SidecarProcess::probes().steps()) built.insert(step);
  for (const auto& step : VmProcess::probes().steps()) built.insert(step);
  EXPECT_EQ(built, cases);
}

class StepTest : public ::testing::Test,
                 public ::testing::WithParamInterface<std::tuple<StepCase, Dies>> {
 protected:
  static const StepCase& param() { return std::get<0>(GetParam()); }
  static bool both() { return std::get<1>(GetParam()) == Dies::kBoth; }

  void SetUp() override {
    ASSERT_TRUE(scene_.start_sidecar());
    ASSERT_TRUE(scene_.start_vm());
    // Some incidents have come and gone before.
    ASSERT_TRUE(scene_.wait_until([&] { return scene_.story().events() > 50; }));
  }

  static void arm_or_fail(pid_t process, const ProbeTable& probes) {
    const auto armed = arm(process, probes, param().step);
    ASSERT_TRUE(armed) << armed.error();
  }
  // Waits for the death at the step, and has the other follow at once.
  void await_death(ChildProcess& armed, ChildProcess& other) {
    ASSERT_TRUE(scene_.wait_until([&] { return !armed.alive(); })) << "it never came there";
    if (both()) other.kill();
    EXPECT_TRUE(armed.died_of(SIGTRAP)) << armed.status();
  }
  // Load on a sidecar and a VM that live: all of it is told.
  void expect_good_service() {
    const std::uint64_t before = scene_.story().events();
    ASSERT_TRUE(scene_.wait_until([&] { return scene_.story().events() > before + 50; }));
    EXPECT_TRUE(scene_.settle()) << complaints(scene_);
  }
  // Whether the VM, dying here, was known to the sidecar that lives.
  static bool was_attached() {
    const std::set<std::string> before{"hang_up_seen", "retired_read", "retired_kept"};
    return !before.contains(param().step);
  }

  Scene scene_;
};

class SidecarDies : public StepTest {};

TEST_P(SidecarDies, AndNothingIsLost) {
  if (param().when == When::kAtAttach) {
    scene_.vm().child().stop();
    scene_.sidecar().kill();
    ASSERT_TRUE(scene_.sidecar().start());
    arm_or_fail(scene_.sidecar().serving_pid(), SidecarProcess::probes());
    scene_.vm().child().resume();
    scene_.vm().command(kAttachNow);
  } else {
    arm_or_fail(scene_.sidecar().serving_pid(), SidecarProcess::probes());
  }
  await_death(scene_.sidecar().child(), scene_.vm().child());
  if (both()) {
    ASSERT_TRUE(scene_.sidecar().start());
    EXPECT_TRUE(scene_.bury_vm(false)) << complaints(scene_);
    ASSERT_TRUE(scene_.start_vm());
  } else {
    ASSERT_TRUE(scene_.replace_sidecar());
  }
  expect_good_service();
}

class VmDies : public StepTest {};

TEST_P(VmDies, AndNothingIsLost) {
  arm_or_fail(scene_.vm().child().pid(), VmProcess::probes());
  if (param().when == When::kAtAttach) {
    scene_.sidecar().kill();
    ASSERT_TRUE(scene_.sidecar().start());
    scene_.vm().command(kAttachNow);
  }
  await_death(scene_.vm().child(), scene_.sidecar().child());
  const std::string session = scene_.vm().session();
  const bool told = !both() && was_attached();
  if (both()) {
    ASSERT_TRUE(scene_.sidecar().start());
  }
  EXPECT_TRUE(scene_.bury_vm(told)) << complaints(scene_);
  if (told && param().traces == Traces::kHalfWritten) {
    EXPECT_GE(scene_.story().half_written(session), 1U);
  }
  ASSERT_TRUE(scene_.start_vm());
  expect_good_service();
}

std::string name_of(const ::testing::TestParamInfo<std::tuple<StepCase, Dies>>& info) {
  return std::string(std::get<0>(info.param).step) +
         (std::get<1>(info.param) == Dies::kBoth ? "_and_both_die" : "");
}

const auto kHow = ::testing::Values(Dies::kAlone, Dies::kBoth);
INSTANTIATE_TEST_SUITE_P(Steps, SidecarDies,
                         ::testing::Combine(::testing::ValuesIn(kSidecarSteps), kHow), name_of);
INSTANTIATE_TEST_SUITE_P(Steps, VmDies, ::testing::Combine(::testing::ValuesIn(kVmSteps), kHow),
                         name_of);

}  // namespace
}  // namespace memfail::kill
