// SPDX-License-Identifier: BSD-3-Clause
//
// vCPUs that are unplugged: what the sidecar hears of it, and what they do not hear.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <optional>

#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"
#include "vmm_shim/state.h"

namespace memfail::test {
namespace {

constexpr std::uint32_t kVcpus = 3;

struct State {
  std::uint32_t vcpu;
  bool online;
  bool operator==(const State&) const = default;
};

class OnlineTest : public ::testing::Test {
 protected:
  void SetUp() override { install_handler(); }
  void TearDown() override { ::signal(SIGBUS, SIG_DFL); }

  void dispatch() { memfail_shim_dispatch(vm_.shim()); }
  void set_online(std::uint32_t vcpu, bool online) {
    memfail_vcpu_online(vm_.lane(vcpu), online ? 1 : 0);
  }
  // The next message, if it is about a vCPU.
  std::optional<State> next_state() {
    const auto packet = sidecar_.receive();
    const wire::VcpuState* state = packet ? packet->message().body_as_VcpuState() : nullptr;
    return state == nullptr ? std::nullopt : std::optional(State{state->index(), state->online()});
  }
  // Whatever was due before it came before it.
  void expect_nothing_more() {
    dispatch();
    memfail_guest_reset(vm_.shim());
    dispatch();
    const auto packet = sidecar_.receive();
    ASSERT_TRUE(packet);
    EXPECT_NE(packet->message().body_as_GuestReset(), nullptr);
  }
  void hang_up() {
    sidecar_.hang_up();
    dispatch();
  }
  bool attach() {
    vm_.shim()->session.retry_at_ns = 0;
    return sidecar_.attach(vm_);
  }

  TempDir dir_;
  std::string path_ = dir_.file("s");
  FakeSidecar sidecar_{path_};
  TestVm vm_{[this](memfail_config& config) { config.socket_path = path_.c_str(); }, kVcpus};
};

using MaybeState = std::optional<State>;

// ---- what the sidecar hears --------------------------------------------------------

TEST_F(OnlineTest, TheSidecarHearsNothingOfVcpusThatAreThere) {
  ASSERT_TRUE(attach());
  expect_nothing_more();
}

TEST_F(OnlineTest, EachChangeIsToldOnce) {
  ASSERT_TRUE(attach());
  for (const bool online : {false, true, false}) {
    set_online(1, online);
    dispatch();
    EXPECT_EQ(next_state(), MaybeState({1, online}));
    set_online(1, online);
    expect_nothing_more();
  }
}

TEST_F(OnlineTest, AChangeIsWorkForDispatch) {
  ASSERT_TRUE(attach());
  pollfd wait{memfail_shim_fd(vm_.shim()), POLLIN, 0};
  ASSERT_EQ(::poll(&wait, 1, 0), 0);
  set_online(1, false);
  EXPECT_EQ(::poll(&wait, 1, 0), 1);
}

TEST_F(OnlineTest, AChangeThatIsTakenBackBeforeItWasToldIsNone) {
  ASSERT_TRUE(attach());
  set_online(1, false);
  set_online(1, true);
  expect_nothing_more();
}

TEST_F(OnlineTest, SeveralAreToldInOrderOfTheirIndex) {
  ASSERT_TRUE(attach());
  set_online(2, false);
  set_online(0, false);
  dispatch();
  EXPECT_EQ(next_state(), MaybeState({0, false}));
  EXPECT_EQ(next_state(), MaybeState({2, false}));
  expect_nothing_more();
}

TEST_F(OnlineTest, TheNextSidecarHearsOfThoseThatAreNotThere) {
  ASSERT_TRUE(attach());
  set_online(0, false);
  set_online(1, false);
  set_online(0, true);
  dispatch();
  EXPECT_EQ(next_state(), MaybeState({1, false}));
  for (int again = 0; again < 2; ++again) {
    hang_up();
    ASSERT_TRUE(attach());
    EXPECT_EQ(next_state(), MaybeState({1, false}));
  }
  expect_nothing_more();
}

TEST_F(OnlineTest, WhatChangedWithoutASidecarIsToldTheNext) {
  set_online(2, false);
  dispatch();
  ASSERT_TRUE(attach());
  EXPECT_EQ(next_state(), MaybeState({2, false}));
  hang_up();
  set_online(2, true);
  ASSERT_TRUE(attach());
  expect_nothing_more();
}

TEST_F(OnlineTest, TheProcessLaneIsNoVcpu) {
  ASSERT_TRUE(attach());
  memfail_vcpu_online(memfail_process_lane(vm_.shim()), 0);
  expect_nothing_more();
}

TEST_F(OnlineTest, AVcpuThatIsPluggedInAgainMayHaveAnotherDescriptor) {
  ASSERT_TRUE(attach());
  set_online(1, false);
  dispatch();
  EXPECT_EQ(next_state(), MaybeState({1, false}));
  const memfail_vcpu vcpu{sizeof vcpu, 1, STDERR_FILENO, vm_.run(1)};
  memfail_lane* lane = nullptr;
  ASSERT_EQ(memfail_vcpu_add(vm_.shim(), &vcpu, &lane, nullptr), 0);
  EXPECT_EQ(lane, vm_.lane(1));
  memfail_vcpu_online(lane, 1);
  dispatch();
  EXPECT_EQ(next_state(), MaybeState({1, true}));
}

// ---- what an unplugged one does not hear ----------------------------------------------

TEST_F(OnlineTest, AnUnpluggedOneGetsNoBroadcast) {
  ASSERT_TRUE(attach());
  set_online(2, false);
  const shm::Claim first = claim(0, 1, sidecar_.geometry());
  vm_.raise_in_run(kRequired, vm_.hva(1));
  sidecar_.answer(first, inject_required(TestVm::gpa(1), wire::SiblingRule::broadcast_ready));
  memfail_handle(vm_.lane(0));
  EXPECT_EQ(vm_.run_posted(2), 0U);
  EXPECT_EQ(vm_.run_posted(1), 1U);
  const auto outcome = sidecar_.outcome(first);
  ASSERT_TRUE(outcome) << "nobody else is waited for";
  EXPECT_EQ(outcome->siblings_told() + outcome->siblings_skipped(), 1U);
}

TEST_F(OnlineTest, AnUnpluggedOneGetsNoReportOfAnotherThread) {
  set_online(0, false);
  own_lane = memfail_process_lane(vm_.shim());
  raise_sigbus(kOptional, vm_.hva(1));
  dispatch();
  EXPECT_EQ(vm_.run_posted(0), 0U);
  EXPECT_EQ(vm_.run_posted(1), 1U);
  ASSERT_EQ(vm_.incidents().size(), 1U);
  EXPECT_EQ(vm_.incidents()[0].vcpu, 1);
}

TEST_F(OnlineTest, WithAllUnpluggedAReportOfAnotherThreadIsRecordedAtOnce) {
  for (std::uint32_t vcpu = 0; vcpu < kVcpus; ++vcpu) set_online(vcpu, false);
  own_lane = memfail_process_lane(vm_.shim());
  raise_sigbus(kOptional, vm_.hva(1));
  dispatch();
  EXPECT_EQ(vm_.posted(), 0U);
  ASSERT_EQ(vm_.incidents().size(), 1U);
  EXPECT_EQ(vm_.incidents()[0].vcpu, -1);
}

TEST_F(OnlineTest, AnUnpluggedOneIsNotAskedToTellWhatIsRemembered) {
  memfail_vm_running(vm_.shim(), 0);
  vm_.raise_in_run(kOptional, vm_.hva(1));
  memfail_handle(vm_.lane(0));
  set_online(0, false);
  memfail_vm_running(vm_.shim(), 1);
  dispatch();
  EXPECT_EQ(vm_.run_posted(0), 0U);
  EXPECT_EQ(vm_.run_posted(1), 1U);
  EXPECT_EQ(vm_.posted(), 0U);
}

}  // namespace
}  // namespace memfail::test
