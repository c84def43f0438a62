// SPDX-License-Identifier: BSD-3-Clause
//
// An operator's drill: the signal is the kernel's, what follows is the real way, and the
// page stays what it was.
#include <gtest/gtest.h>
#include <pthread.h>

#include <utility>

#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"
#include "vmm_shim/state.h"

namespace memfail::test {
namespace {

using wire::DrillKind;
using wire::OperatorRefusal;

constexpr auto kAr = DrillKind::action_required;
constexpr auto kAo = DrillKind::action_optional;

class DrillTest : public ::testing::Test {
 protected:
  void SetUp() override {
    install_handler();
    sidecar_.agree_on(MEMFAIL_ALLOW_DRILLS);
    ASSERT_TRUE(sidecar_.attach(vm_));
  }
  void TearDown() override { ::signal(SIGBUS, SIG_DFL); }

  // Asks, and has vCPU 0's thread, which is this one, do it; what the sidecar hears.
  FakeSidecar::OrderAnswer drill(std::uint64_t gpa, DrillKind kind = kAr, std::uint32_t vcpu = 0) {
    sidecar_.send_drill(gpa, kind, vcpu);
    memfail_shim_dispatch(vm_.shim());
    vm_.run_posted(vcpu);
    memfail_shim_dispatch(vm_.shim());
    const auto answer = sidecar_.take_order_answer();
    EXPECT_TRUE(answer) << "no answer";
    return answer.value_or(FakeSidecar::OrderAnswer{});
  }
  OperatorRefusal refusal(std::uint64_t gpa, DrillKind kind = kAr, std::uint32_t vcpu = 0) {
    return drill(gpa, kind, vcpu).refusal;
  }
  std::optional<wire::ReportLine> report(std::uint64_t n = 1) {
    return sidecar_.line<wire::ReportLine>(claim(0, n, sidecar_.geometry()),
                                           shm::LineKind::kReport);
  }
  // The sidecar's verdict on incident n, carried out. A vCPU without registers cannot
  // read back whether the record took.
  int handle(const wire::ReplyLine& reply, std::uint64_t n = 1) {
    sidecar_.answer(claim(0, n, sidecar_.geometry()), reply);
    return memfail_handle(vm_.lane());
  }

  TempDir dir_;
  std::string path_ = dir_.file("s");
  FakeSidecar sidecar_{path_};
  TestVm vm_{[this](memfail_config& config) {
               config.socket_path = path_.c_str();
               config.allow = MEMFAIL_ALLOW_DRILLS;
             },
             2};
};

TEST_F(DrillTest, IsReportedAsTheGuestsAccessAndAsADrill) {
  const auto answer = drill(TestVm::gpa(3) + 0x123);
  EXPECT_EQ(answer.refusal, OperatorRefusal::none);
  EXPECT_EQ(answer.lane, 0U);
  EXPECT_EQ(answer.sequence, 1U);
  const auto line = report();
  ASSERT_TRUE(line);
  EXPECT_EQ(line->drill(), 1);
  EXPECT_EQ(line->kind(), wire::ReportKind::sigbus);
  EXPECT_EQ(line->thread(), wire::ThreadKind::vcpu_in_run);
  EXPECT_EQ(line->code(), kRequired);
  EXPECT_EQ(line->hva(), vm_.hva(3));
  EXPECT_EQ(line->lsb(), 12);
  EXPECT_EQ(vm_.aborts(), 0);
  memfail_run_begin(vm_.lane());
  EXPECT_TRUE(vm_.immediate_exit()) << "the next KVM_RUN comes back to handle it";
  EXPECT_EQ(memfail_run_end(vm_.lane()), 1);
}

TEST_F(DrillTest, TheVmmIsToldOfTheIncidentAndOfNoBrokenPage) {
  drill(TestVm::gpa(3));
  EXPECT_EQ(handle(inject_required(TestVm::gpa(3))), MEMFAIL_RESUME);
  EXPECT_EQ(vm_.machine_checks().size(), 1U);
  ASSERT_EQ(vm_.incidents().size(), 1U);
  EXPECT_EQ(vm_.incidents()[0].drill, 1);
  EXPECT_TRUE(vm_.poisoned().empty()) << "it would replace the page at the next reset";
}

TEST_F(DrillTest, AResetLeavesItsPageAsItWas) {
  auto& byte = *reinterpret_cast<volatile std::uint8_t*>(vm_.hva(3));
  byte = 0xA5;
  drill(TestVm::gpa(3));
  handle(inject_required(TestVm::gpa(3)));
  EXPECT_EQ(memfail_guest_reset(vm_.shim()), 0);
  EXPECT_EQ(byte, 0xA5);
}

TEST_F(DrillTest, AnOptionalOneNamesTheBackingPage) {
  EXPECT_EQ(refusal(TestVm::gpa(3), kAo), OperatorRefusal::none);
  ASSERT_TRUE(report());
  EXPECT_EQ(report()->code(), kOptional);
  EXPECT_EQ(report()->lsb(), 12);
  EXPECT_EQ(report()->drill(), 1);
}

TEST_F(DrillTest, ARealFailureAfterItIsNoDrill) {
  drill(TestVm::gpa(3));
  handle(inject_required(TestVm::gpa(3)));
  sidecar_.retire(claim(0, 1, sidecar_.geometry()));
  vm_.raise_in_run(kRequired, vm_.hva(3));
  ASSERT_TRUE(report(2));
  EXPECT_EQ(report(2)->drill(), 0);
  handle(inject_required(TestVm::gpa(3)), 2);
  EXPECT_EQ(vm_.poisoned().size(), 1U);
  EXPECT_TRUE(vm_.shim()->poison.is_broken(vm_.hva(3)));
}

TEST_F(DrillTest, APageThatIsReallyBrokenHasNone) {
  vm_.raise_in_run(kRequired, vm_.hva(3));
  handle(inject_required(TestVm::gpa(3)));
  EXPECT_EQ(refusal(TestVm::gpa(3)), OperatorRefusal::really_broken);
}

TEST_F(DrillTest, WhatIsNotThereIsRefusedWithItsValueAndTheLimit) {
  const auto no_vcpu = drill(TestVm::gpa(3), kAr, 2);
  EXPECT_EQ(no_vcpu.refusal, OperatorRefusal::vcpu_index);
  EXPECT_EQ(no_vcpu.value, 2U);
  EXPECT_EQ(no_vcpu.limit, 1U);
  const auto no_ram = drill(0xFFFF'0000'0000);
  EXPECT_EQ(no_ram.refusal, OperatorRefusal::not_in_ram);
  EXPECT_EQ(no_ram.value, 0xFFFF'0000'0000U);
  memfail_vcpu_online(vm_.lane(1), 0);
  EXPECT_EQ(refusal(TestVm::gpa(3), kAr, 1), OperatorRefusal::vcpu_offline);
  vm_.post_answer = -ESRCH;
  EXPECT_EQ(refusal(TestVm::gpa(3)), OperatorRefusal::vcpu_no_thread);
  memfail_vm_running(vm_.shim(), 0);
  EXPECT_EQ(refusal(TestVm::gpa(3)), OperatorRefusal::not_running);
  EXPECT_FALSE(report()) << "nothing was raised";
}

TEST_F(DrillTest, AVcpuThatDoesNotTakeItUpIsGivenUpAndDoesNothingLater) {
  sidecar_.send_drill(TestVm::gpa(3), kAr);
  memfail_shim_dispatch(vm_.shim());
  const auto given_up = [&] { return vm_.shim()->operator_task.until_ns == 0; };
  ASSERT_TRUE(dispatch_until(vm_.shim(), given_up));
  const auto answer = sidecar_.take_order_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->refusal, OperatorRefusal::vcpu_silent);
  sidecar_.send_drill(TestVm::gpa(4), kAr);
  memfail_shim_dispatch(vm_.shim());
  EXPECT_EQ(sidecar_.take_order_answer()->refusal, OperatorRefusal::busy)
      << "the VMM still has the function";
  EXPECT_EQ(vm_.run_posted(0), 1U);
  EXPECT_FALSE(report());
  EXPECT_EQ(refusal(TestVm::gpa(3)), OperatorRefusal::none);
}

TEST_F(DrillTest, AVmmThatWouldDieOfTheSignalIsNotSentIt) {
  ::signal(SIGBUS, SIG_DFL);
  EXPECT_EQ(refusal(TestVm::gpa(3)), OperatorRefusal::no_handler);
  install_handler();
  sigset_t sigbus;
  sigemptyset(&sigbus);
  sigaddset(&sigbus, SIGBUS);
  ::pthread_sigmask(SIG_BLOCK, &sigbus, nullptr);
  EXPECT_EQ(refusal(TestVm::gpa(3)), OperatorRefusal::signal_blocked);
  ::pthread_sigmask(SIG_UNBLOCK, &sigbus, nullptr);
}

TEST_F(DrillTest, AHandlerThatDoesNotReportItIsFoundOut) {
  ::signal(SIGBUS, [](int) {});
  EXPECT_EQ(refusal(TestVm::gpa(3)), OperatorRefusal::not_reported);
  install_handler();
  own_lane = memfail_process_lane(vm_.shim());
  EXPECT_EQ(refusal(TestVm::gpa(3)), OperatorRefusal::wrong_lane);
  EXPECT_EQ(vm_.aborts(), 0);
  EXPECT_FALSE(report());
}

TEST_F(DrillTest, WithoutACellItIsGivenUpAndNothingIsLost) {
  for (std::uint64_t page = 0; page < 4; ++page) vm_.raise_in_run(kOptional, vm_.hva(page));
  EXPECT_EQ(refusal(TestVm::gpa(8)), OperatorRefusal::lane_full);
  EXPECT_EQ(vm_.status().lost_reports, 0U);
}

TEST_F(DrillTest, ASecondBeforeTheFirstIsAnsweredEndsTheSession) {
  sidecar_.send_drill(TestVm::gpa(3), kAr);
  sidecar_.send_drill(TestVm::gpa(4), kAr);
  memfail_shim_dispatch(vm_.shim());
  EXPECT_TRUE(sidecar_.was_hung_up());
  EXPECT_EQ(vm_.posted(), 0U);
}

TEST_F(DrillTest, WhoAsksNextIsNotToldWhatAnotherAskedFor) {
  sidecar_.send_drill(TestVm::gpa(3), kAr);
  memfail_shim_dispatch(vm_.shim());
  sidecar_.hang_up();
  ASSERT_TRUE(dispatch_until(vm_.shim(), [&] { return sidecar_.is_called(); }));
  ASSERT_TRUE(sidecar_.attach(vm_));
  EXPECT_EQ(vm_.run_posted(0), 1U);
  memfail_shim_dispatch(vm_.shim());
  ASSERT_TRUE(report()) << "it was on its way";
  EXPECT_FALSE(vm_.shim()->operator_task.answered);
  EXPECT_EQ(drill(TestVm::gpa(4)).sequence, 2U);
}

TEST_F(DrillTest, WithFallbackVmmItIsNotHandedBack) {
  TestVm vm([](memfail_config& config) { config.fallback = MEMFAIL_FALLBACK_VMM; });
  vm.shim()->drill.hva = vm.hva(3);
  vm.shim()->drill.code = kRequired;
  vm.shim()->drill.vcpu = 0;
  vm.shim()->drill.tid = static_cast<std::uint32_t>(::gettid());
  vm.raise_in_run(kRequired, vm.hva(3));
  vm.shim()->drill.tid = 0;
  EXPECT_EQ(memfail_handle(vm.lane()) & MEMFAIL_HAND_BACK, 0)
      << "the VMM would take the page for broken";
}

// ---- who did not opt in ----------------------------------------------------------------

class NoDrillTest : public ::testing::Test {
 protected:
  void attach(TestVm& vm) {
    sidecar_.agree_on(vm.shim()->config.allow);
    ASSERT_TRUE(sidecar_.attach(vm));
  }
  memfail_mce record_{0xBD80'0000'0000'0134, 0x3000, 0x8C, 7, 9};
  TempDir dir_;
  std::string path_ = dir_.file("s");
  FakeSidecar sidecar_{path_};
};

TEST_F(NoDrillTest, ASidecarThatAsksAllTheSameIsDropped) {
  for (const std::uint32_t allow : {0U, unsigned{MEMFAIL_ALLOW_INJECTIONS}}) {
    FakeSidecar sidecar{path_};
    TestVm vm([&](memfail_config& config) {
      config.socket_path = path_.c_str();
      config.allow = allow;
    });
    sidecar.agree_on(allow);
    ASSERT_TRUE(sidecar.attach(vm));
    EXPECT_EQ(sidecar.offered(), allow | static_cast<std::uint64_t>(wire::Feature::live_rules));
    sidecar.send_drill(TestVm::gpa(3), kAr);
    memfail_shim_dispatch(vm.shim());
    EXPECT_TRUE(sidecar.was_hung_up());
    EXPECT_EQ(vm.posted(), 0U);
    EXPECT_STREQ(vm.status().last_error, "the sidecar asks for a drill that was not agreed on");
  }
}

TEST_F(NoDrillTest, DrillsAloneAllowNoInjections) {
  TestVm vm([&](memfail_config& config) {
    config.socket_path = path_.c_str();
    config.allow = MEMFAIL_ALLOW_DRILLS;
  });
  attach(vm);
  sidecar_.send_inject(record_);
  memfail_shim_dispatch(vm.shim());
  EXPECT_TRUE(sidecar_.was_hung_up());
  EXPECT_EQ(vm.posted(), 0U);
}

TEST_F(NoDrillTest, FlagsThatNobodyKnowsAreRefused) {
  const TestVm vm;
  memfail_config config = vm.config;
  config.allow = 4;
  memfail_shim* shim = nullptr;
  memfail_error error{};
  EXPECT_EQ(memfail_shim_create(&config, &shim, &error), -EINVAL);
  EXPECT_STREQ(error.text, "allow is 0x4; the known flags are 0x3");
}

}  // namespace
}  // namespace memfail::test
