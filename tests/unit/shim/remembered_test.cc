// SPDX-License-Identifier: BSD-3-Clause
//
// What is remembered, and when a vCPU is asked to tell it. The vCPUs here have no
// machine-check registers: the guest is never ready. tests/kvm tells real ones.
#include <gtest/gtest.h>

#include <initializer_list>

#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"
#include "vmm_shim/state.h"

namespace memfail::test {
namespace {

using wire::Reason;
using wire::Verdict;

class RememberedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    install_handler();
    ASSERT_TRUE(sidecar_.attach(vm_));
  }
  void TearDown() override { ::signal(SIGBUS, SIG_DFL); }

  void dispatch() { memfail_shim_dispatch(vm_.shim()); }
  void pause() { memfail_vm_running(vm_.shim(), 0); }
  void resume() {
    memfail_vm_running(vm_.shim(), 1);
    dispatch();
  }
  // Each page's report, while the VM is paused.
  void report_paused(std::initializer_list<std::uint64_t> pages) {
    pause();
    for (const std::uint64_t page : pages) {
      vm_.raise_in_run(kOptional, vm_.hva(page));
      EXPECT_EQ(memfail_handle(vm_.lane()), MEMFAIL_RESUME);
      EXPECT_EQ(vm_.incidents().back().verdict, static_cast<int>(Verdict::ignore));
      EXPECT_EQ(vm_.incidents().back().reason, static_cast<int>(Reason::vm_not_running));
    }
  }
  // A report of page 3 while the VM runs, and the sidecar's word on it.
  void report_running(const wire::ReplyLine& reply) {
    vm_.raise_in_run(kOptional, vm_.hva(3));
    sidecar_.answer(claim(0, ++answered_, sidecar_.geometry()), reply);
    EXPECT_EQ(memfail_handle(vm_.lane()), MEMFAIL_RESUME);
  }
  // How many reports this vCPU has made, the remembered ones included.
  std::uint64_t reports() const {
    return shm::load_word(sidecar_.request().lane(0), wire::kLaneNextOffset);
  }
  bool has_to_tell() const { return vm_.shim()->poison.has_to_tell(); }

  TempDir dir_;
  std::string path_ = dir_.file("s");
  FakeSidecar sidecar_{path_};
  TestVm vm_{[this](memfail_config& config) { config.socket_path = path_.c_str(); }};
  std::uint64_t answered_ = 0;
};

TEST_F(RememberedTest, WhatCameDuringThePauseIsAVcpusToTellWhenTheVmGoesOn) {
  report_paused({3, 4});
  EXPECT_TRUE(has_to_tell());
  EXPECT_EQ(vm_.posted(), 0U);
  resume();
  dispatch();
  EXPECT_EQ(vm_.posted(), 1U) << "once";
}

TEST_F(RememberedTest, OfAThreadThatIsNoVcpusToo) {
  pause();
  own_lane = memfail_process_lane(vm_.shim());
  raise_sigbus(kOptional, vm_.hva(3));
  dispatch();
  EXPECT_TRUE(has_to_tell());
  resume();
  EXPECT_EQ(vm_.posted(), 1U);
}

TEST_F(RememberedTest, WithNothingRememberedNobodyIsPostedTo) {
  pause();
  resume();
  EXPECT_EQ(vm_.posted(), 0U);
}

TEST_F(RememberedTest, NothingIsToldWhileTheVmIsPaused) {
  report_paused({3});
  dispatch();
  memfail_handle(vm_.lane());
  EXPECT_EQ(vm_.posted(), 0U);
  EXPECT_EQ(reports(), 1U);
}

TEST_F(RememberedTest, AVmThatIsPausedAgainBeforeDispatchIsToldTheNextTime) {
  report_paused({3});
  memfail_vm_running(vm_.shim(), 1);
  pause();
  dispatch();
  EXPECT_EQ(vm_.posted(), 0U);
  resume();
  EXPECT_EQ(vm_.posted(), 1U);
}

TEST_F(RememberedTest, AVcpuThatCannotBePostedToIsPostedToTheNextTime) {
  report_paused({3});
  vm_.post_answer = -3;
  resume();
  vm_.post_answer = 0;
  dispatch();
  EXPECT_EQ(vm_.posted(), 0U);
  EXPECT_TRUE(has_to_tell());
  pause();
  resume();
  EXPECT_EQ(vm_.posted(), 1U);
}

TEST_F(RememberedTest, TheSidecarIsNotAskedForAGuestThatIsNotReady) {
  report_paused({3});
  resume();
  EXPECT_EQ(vm_.run_posted(0), 1U);
  for (int pass = 0; pass < 3; ++pass) EXPECT_EQ(memfail_handle(vm_.lane()), MEMFAIL_RESUME);
  EXPECT_EQ(reports(), 1U);
  EXPECT_EQ(vm_.incidents().size(), 1U);
  EXPECT_TRUE(has_to_tell()) << "it may be ready another time";
}

TEST_F(RememberedTest, WhatTheGuestCouldNotTakeIsRemembered) {
  report_running(verdict_only(Verdict::ignore, Reason::mce_in_progress));
  EXPECT_TRUE(has_to_tell());
}

TEST_F(RememberedTest, UnderQemusPolicyOnlyWhatThePauseKeptFromTheGuestIs) {
  vm_.shim()->rules.policy = decision::Policy::kQemu;
  report_running(verdict_only(Verdict::ignore, Reason::mce_in_progress));
  EXPECT_FALSE(has_to_tell());
  report_paused({3});
  EXPECT_TRUE(has_to_tell());
}

TEST_F(RememberedTest, AnActionRequiredOneIsNot) {
  vm_.raise_in_run(kRequired, vm_.hva(3));
  sidecar_.answer(claim(0, 1, sidecar_.geometry()), verdict_only(Verdict::ignore, Reason::policy));
  memfail_handle(vm_.lane());
  EXPECT_FALSE(has_to_tell());
}

TEST_F(RememberedTest, AGuestResetForgetsIt) {
  report_paused({3});
  memfail_guest_reset(vm_.shim());
  EXPECT_FALSE(has_to_tell());
  resume();
  EXPECT_EQ(vm_.posted(), 0U);
}

}  // namespace
}  // namespace memfail::test
