// SPDX-License-Identifier: BSD-3-Clause
//
// The signal entry, reached by real signals with the kernel's siginfo.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"
#include "vmm_shim/state.h"

namespace memfail::test {
namespace {

class SigbusTest : public ::testing::Test {
 protected:
  void SetUp() override { install_handler(); }
  void TearDown() override { ::signal(SIGBUS, SIG_DFL); }
  TestVm vm_;
};

TEST_F(SigbusTest, AnAccessBeyondAFileIsNotMine) {
  raise_sigbus(2, vm_.hva());  // BUS_ADRERR
  EXPECT_EQ(last_result, MEMFAIL_SIGBUS_NOT_MINE);
  EXPECT_EQ(vm_.shim()->request.backing_store(), 1U) << "but it is counted";
  EXPECT_EQ(vm_.status().reports, 0U);
}

TEST_F(SigbusTest, WhatAProcessSentIsNotMine) {
  ::kill(::getpid(), SIGBUS);  // SI_USER; no other thread runs
  EXPECT_EQ(last_result, MEMFAIL_SIGBUS_NOT_MINE);
  last_result = -1;
  ::raise(SIGBUS);  // SI_TKILL
  EXPECT_EQ(last_result, MEMFAIL_SIGBUS_NOT_MINE);
  EXPECT_EQ(vm_.status().reports, 0U);
}

TEST_F(SigbusTest, AThreadWithoutALaneIsNotMine) {
  own_lane = nullptr;
  raise_sigbus(kOptional, vm_.hva());
  EXPECT_EQ(last_result, MEMFAIL_SIGBUS_NOT_MINE);
}

TEST_F(SigbusTest, AForkedChildsErrorIsNotMine) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int pending = vm_.raise_in_run(kRequired, vm_.hva());
    ::_exit(last_result == MEMFAIL_SIGBUS_NOT_MINE && pending == 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(vm_.status().reports, 0U);
}

TEST_F(SigbusTest, ErrnoIsKept) {
  errno = 1234;
  raise_sigbus(kOptional, vm_.hva());
  EXPECT_EQ(errno, 1234);
  for (int i = 0; i < 8; ++i) raise_sigbus(kOptional, vm_.hva());  // the lane is full now
  EXPECT_EQ(errno, 1234);
}

TEST_F(SigbusTest, InsideTheBracketBothKindsStopTheGuest) {
  for (const int code : {kRequired, kOptional}) {
    EXPECT_EQ(vm_.raise_in_run(code, vm_.hva()), 1);
    EXPECT_EQ(last_result, MEMFAIL_SIGBUS_TAKEN);
    EXPECT_TRUE(vm_.immediate_exit());
    memfail_handle(vm_.lane());
    EXPECT_FALSE(vm_.immediate_exit());
  }
  EXPECT_EQ(vm_.status().reports, 2U);
}

TEST_F(SigbusTest, AnOptionalOneOutsideTheBracketStopsTheNextEntry) {
  raise_sigbus(kOptional, vm_.hva());
  EXPECT_EQ(last_result, MEMFAIL_SIGBUS_TAKEN);
  EXPECT_FALSE(vm_.immediate_exit()) << "that flag is KVM_RUN's";
  memfail_run_begin(vm_.lane());
  EXPECT_TRUE(vm_.immediate_exit());
  EXPECT_EQ(memfail_run_end(vm_.lane()), 1);
}

thread_local const void* handler_stack = nullptr;

void on_other_stack(int /*signal*/, siginfo_t* info, void* context) {
  handler_stack = __builtin_frame_address(0);  // a variable may lie on ASan's own stack
  last_result = memfail_sigbus(own_lane, info, context);
}

TEST_F(SigbusTest, RunsOnAnAlternateStackOfTheSmallestSize) {
  const auto size = static_cast<std::size_t>(::sysconf(_SC_MINSIGSTKSZ)) + 16 * 1024;
  std::vector<char> stack(size);
  const stack_t alternate{stack.data(), 0, stack.size()};
  ASSERT_EQ(::sigaltstack(&alternate, nullptr), 0);
  struct sigaction action = {};
  action.sa_sigaction = on_other_stack;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ASSERT_EQ(::sigaction(SIGBUS, &action, nullptr), 0);
  EXPECT_EQ(vm_.raise_in_run(kRequired, vm_.hva()), 1);
  EXPECT_EQ(last_result, MEMFAIL_SIGBUS_TAKEN);
  EXPECT_GE(handler_stack, stack.data());
  EXPECT_LT(handler_stack, stack.data() + stack.size());
  const stack_t off{nullptr, SS_DISABLE, 0};
  ::sigaltstack(&off, nullptr);
}

thread_local int depth = 0;

void raises_another(int /*signal*/, siginfo_t* info, void* context) {
  if (++depth < 3) raise_sigbus(depth == 2 ? kRequired : kOptional, 0x1000);
  last_result = memfail_sigbus(own_lane, info, context);
}

TEST_F(SigbusTest, OneInsideAnotherIsTwoReports) {
  struct sigaction action = {};
  action.sa_sigaction = raises_another;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  ASSERT_EQ(::sigaction(SIGBUS, &action, nullptr), 0);
  depth = 0;
  EXPECT_EQ(vm_.raise_in_run(kOptional, vm_.hva()), 1);
  EXPECT_EQ(vm_.status().reports, 3U);
  EXPECT_EQ(vm_.status().lost_reports, 0U);
  memfail_handle(vm_.lane());
  EXPECT_EQ(vm_.incidents().size(), 3U);
  EXPECT_EQ(vm_.incidents()[0].si_code, kRequired) << "action required goes first";
}

TEST_F(SigbusTest, AFullLaneCountsWhatItLoses) {
  for (int i = 0; i < 6; ++i) EXPECT_EQ(vm_.raise_in_run(kOptional, vm_.hva()), 1);
  EXPECT_EQ(last_result, MEMFAIL_SIGBUS_TAKEN);
  EXPECT_EQ(vm_.status().reports, 6U);
  EXPECT_EQ(vm_.status().lost_reports, 2U);
  memfail_handle(vm_.lane());
  EXPECT_EQ(vm_.incidents().size(), 4U);
}

TEST(SigbusFullLane, ARequiredOneWithoutACellIsHandedBackToAVmmThatAskedForThat) {
  install_handler();
  TestVm vm([](memfail_config& config) { config.fallback = MEMFAIL_FALLBACK_VMM; });
  for (int i = 0; i < 4; ++i) vm.raise_in_run(kOptional, vm.hva());
  EXPECT_EQ(memfail_handle(vm.lane()), MEMFAIL_HAND_BACK);
  siginfo_t info{};
  while (memfail_handed_back(vm.lane(), &info) != 0) {
  }
  EXPECT_EQ(vm.raise_in_run(kRequired, vm.hva(3)), 1);
  EXPECT_EQ(vm.status().lost_reports, 1U);
  EXPECT_EQ(memfail_handle(vm.lane()), MEMFAIL_HAND_BACK);
  ASSERT_EQ(memfail_handed_back(vm.lane(), &info), 1);
  EXPECT_EQ(info.si_code, kRequired);
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(info.si_addr), vm.hva(3));
  EXPECT_EQ(vm.aborts(), 0);
}

TEST(SigbusFullLane, ARequiredOneWithoutACellEndsAVmmThatAskedForThat) {
  install_handler();
  TestVm vm([](memfail_config& config) { config.fallback = MEMFAIL_FALLBACK_ABORT; });
  for (int i = 0; i < 4; ++i) vm.raise_in_run(kOptional, vm.hva());
  memfail_handle(vm.lane());
  const int before = vm.aborts();
  vm.raise_in_run(kRequired, vm.hva());
  memfail_handle(vm.lane());
  EXPECT_EQ(vm.aborts(), before + 1);
}

TEST(SigbusFullLane, ThePageIsStillToldToTheVmm) {
  install_handler();
  TestVm vm;
  for (int i = 0; i < 4; ++i) vm.raise_in_run(kOptional, vm.hva());
  memfail_handle(vm.lane());
  vm.raise_in_run(kRequired, vm.hva(9));
  memfail_handle(vm.lane());
  ASSERT_EQ(vm.poisoned().size(), 5U);
  EXPECT_EQ(vm.poisoned()[4], vm.hva(9));
}

TEST(SigbusFullList, IsNotExportedAsIfItWereWhole) {
  install_handler();
  TestVm vm([](memfail_config& config) { config.max_poisoned = 1; });
  for (const std::uint64_t page : {1, 2}) {
    vm.raise_in_run(kOptional, vm.hva(page));
    memfail_handle(vm.lane());
    EXPECT_EQ(memfail_poison_export(vm.shim(), nullptr, 0) == -EOVERFLOW, page == 2);
  }
}

TEST(SigbusHandedBack, MoreThanALaneHoldsAreAllHandedBackInOrder) {
  install_handler();
  TestVm vm([](memfail_config& config) { config.fallback = MEMFAIL_FALLBACK_VMM; });
  for (std::uint64_t i = 0; i < 5; ++i) vm.raise_in_run(kOptional, vm.hva(i));
  EXPECT_EQ(memfail_handle(vm.lane()), MEMFAIL_HAND_BACK);
  siginfo_t info{};
  for (std::uint64_t i = 0; i < 5; ++i) {
    ASSERT_EQ(memfail_handed_back(vm.lane(), &info), 1) << i;
    EXPECT_EQ(reinterpret_cast<std::uint64_t>(info.si_addr), vm.hva(i));
  }
  EXPECT_EQ(memfail_handed_back(vm.lane(), &info), 0);
}

// ---- the process lane -------------------------------------------------------------

class ProcessLane : public SigbusTest {
 protected:
  void raise_on_process_lane(std::uint64_t page) {
    own_lane = memfail_process_lane(vm_.shim());
    raise_sigbus(kOptional, vm_.hva(page));
    EXPECT_EQ(last_result, MEMFAIL_SIGBUS_TAKEN);
  }
};

TEST_F(ProcessLane, AnOptionalOneIsPostedToAVcpu) {
  raise_on_process_lane(2);
  EXPECT_EQ(vm_.posted(), 0U);
  memfail_shim_dispatch(vm_.shim());
  memfail_shim_dispatch(vm_.shim());
  EXPECT_EQ(vm_.posted(), 1U) << "once";
  EXPECT_TRUE(vm_.incidents().empty());
  EXPECT_EQ(vm_.run_posted(0), 1U);
  ASSERT_EQ(vm_.incidents().size(), 1U);
  EXPECT_EQ(vm_.incidents()[0].hva, vm_.hva(2));
  EXPECT_EQ(vm_.incidents()[0].gpa, TestVm::gpa(2));
}

TEST_F(ProcessLane, WhileTheVmIsPausedItIsOnlyRemembered) {
  memfail_vm_running(vm_.shim(), 0);
  raise_on_process_lane(2);
  memfail_shim_dispatch(vm_.shim());
  EXPECT_EQ(vm_.posted(), 0U);
  ASSERT_EQ(vm_.incidents().size(), 1U);
  EXPECT_EQ(vm_.incidents()[0].verdict, static_cast<int>(wire::Verdict::ignore));
  EXPECT_EQ(vm_.incidents()[0].reason, static_cast<int>(wire::Reason::vm_not_running));
  EXPECT_EQ(vm_.poisoned().size(), 1U);
}

TEST_F(ProcessLane, WithoutAVcpuThatTakesItTheIncidentStillEnds) {
  vm_.post_answer = -3;
  raise_on_process_lane(2);
  memfail_shim_dispatch(vm_.shim());
  ASSERT_EQ(vm_.incidents().size(), 1U);
  EXPECT_EQ(vm_.incidents()[0].vcpu, -1);
  EXPECT_TRUE(vm_.machine_checks().empty());
}

TEST_F(ProcessLane, HoldsSixteenAndCountsTheRest) {
  for (std::uint64_t page = 0; page < 18; ++page) raise_on_process_lane(page);
  EXPECT_EQ(vm_.status().lost_reports, 2U);
  memfail_shim_dispatch(vm_.shim());
  EXPECT_EQ(vm_.run_posted(0), 16U);
  EXPECT_EQ(vm_.incidents().size(), 16U);
}

}  // namespace
}  // namespace memfail::test
