// SPDX-License-Identifier: BSD-3-Clause
//
// Pages that went bad when the guest could not be told, and real guests that can be.
#include <gtest/gtest.h>

#include <initializer_list>
#include <thread>

#include "tests/kvm/rig.h"
#include "vmm_shim/state.h"

namespace memfail::test {
namespace {

using wire::DecidedBy;
using wire::Delivered;
using wire::Reason;
using wire::ReportKind;
using wire::Verdict;

class RememberedTest : public KvmTest {
 protected:
  static void pause(const Rig& rig) { memfail_vm_running(rig.shim(), 0); }
  static void resume(const Rig& rig) {
    memfail_vm_running(rig.shim(), 1);
    memfail_shim_dispatch(rig.shim());
  }
  // Each page's report, while the VM is paused.
  static void report_paused(Rig& rig, std::initializer_list<std::uint64_t> pages) {
    pause(rig);
    for (const std::uint64_t page : pages) {
      rig.raise(kOptional, page);
      EXPECT_EQ(rig.handle(), MEMFAIL_RESUME);
      EXPECT_EQ(rig.incidents().back().reason, static_cast<int>(Reason::vm_not_running));
    }
    EXPECT_EQ(rig.queued(), -1);
  }
  // The sidecar's word on report n of vCPU 0, before it is asked.
  static void let_inject(FakeSidecar& sidecar, std::uint64_t n, std::uint64_t page) {
    sidecar.answer(claim(0, n, sidecar.geometry()), inject_optional(Rig::gpa(page)));
  }
  static void decline(FakeSidecar& sidecar, std::uint64_t n) {
    sidecar.answer(claim(0, n, sidecar.geometry()), verdict_only(Verdict::ignore, Reason::policy));
  }
  static void retire(FakeSidecar& sidecar, std::uint64_t n) {
    sidecar.retire(claim(0, n, sidecar.geometry()));
  }
  static bool has_to_tell(const Rig& rig) { return rig.shim()->poison.has_to_tell(); }
  // How many reports a vCPU has made, the remembered ones included.
  static std::uint64_t reports(const Rig& rig, std::uint32_t vcpu = 0) {
    return shm::load_word(rig.shim()->request.lane(vcpu), wire::kLaneNextOffset);
  }
  static ReportKind kind(const FakeSidecar& sidecar, std::uint64_t n) {
    const auto report =
        sidecar.line<wire::ReportLine>(claim(0, n, sidecar.geometry()), shm::LineKind::kReport);
    EXPECT_TRUE(report);
    return report ? report->kind() : ReportKind::none;
  }
  static void expect_told(Rig& rig, std::uint64_t page) {
    ASSERT_FALSE(rig.incidents().empty());
    const memfail_incident last = rig.incidents().back();
    EXPECT_EQ(last.hva, rig.hva(page));
    EXPECT_EQ(last.verdict, static_cast<int>(Verdict::inject));
    EXPECT_EQ(last.delivered, static_cast<int>(Delivered::delivered));
    EXPECT_EQ(rig.bank_status(9), kIntelOptional);
    EXPECT_EQ(rig.msr(reference::kMsrMc0Ctl + 4 * 9 + 2), Rig::gpa(page));
    EXPECT_EQ(rig.queued(), 18);
  }
};

TEST_F(RememberedTest, WhatCameDuringThePauseReachesTheGuestsHandlerWhenItGoesOn) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  FakeSidecar& sidecar = rig.attach();
  report_paused(rig, {3});
  resume(rig);
  let_inject(sidecar, 2, 3);
  EXPECT_EQ(rig.run_posted(0), 1U);
  expect_told(rig, 3);
  EXPECT_EQ(rig.incidents().size(), 2U);
  EXPECT_FALSE(has_to_tell(rig));

  const shm::Claim second = claim(0, 2, sidecar.geometry());
  const auto report = sidecar.line<wire::ReportLine>(second, shm::LineKind::kReport);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->kind(), ReportKind::remembered);
  EXPECT_EQ(report->thread(), wire::ThreadKind::vcpu_in_run);
  EXPECT_EQ(report->code(), kOptional);
  EXPECT_EQ(report->hva(), rig.hva(3));
  EXPECT_EQ(report->region_generation(), 1U);
  const auto outcome = sidecar.outcome(second);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->decided_by(), DecidedBy::sidecar);

  ASSERT_TRUE(rig.run_until(PORT_MCG_STATUS)) << "the guest's handler";
}

TEST_F(RememberedTest, WithoutASidecarTheFallbackTellsIt) {
  Rig rig;
  report_paused(rig, {3});
  resume(rig);
  EXPECT_EQ(rig.run_posted(0), 1U);
  expect_told(rig, 3);
  EXPECT_EQ(rig.incidents().back().decided_by, static_cast<int>(DecidedBy::builtin));
  EXPECT_FALSE(has_to_tell(rig));
}

TEST_F(RememberedTest, WhatKvmDroppedIsToldWhenTheGuestTakesItAgain) {
  Rig rig;
  ASSERT_TRUE(rig.run_until(PORT_READY));
  FakeSidecar& sidecar = rig.attach();
  rig.set_msr(reference::kMsrMcgCtl, 0);
  let_inject(sidecar, 1, 3);
  rig.raise(kOptional, 3);
  EXPECT_EQ(rig.handle(), MEMFAIL_RESUME);
  ASSERT_EQ(rig.incidents().size(), 1U);
  EXPECT_EQ(rig.incidents()[0].verdict, static_cast<int>(Verdict::inject));
  EXPECT_EQ(rig.incidents()[0].delivered, static_cast<int>(Delivered::dropped));
  EXPECT_EQ(rig.incidents()[0].reason, static_cast<int>(Reason::mcg_ctl_off));
  EXPECT_TRUE(has_to_tell(rig));
  rig.set_msr(reference::kMsrMcgCtl, ~std::uint64_t{0});
  let_inject(sidecar, 2, 3);
  resume(rig);
  EXPECT_EQ(rig.run_posted(0), 1U);
  expect_told(rig, 3);
  EXPECT_FALSE(has_to_tell(rig));
}

TEST_F(RememberedTest, APassTellsOneAndTheNextNotBeforeTheGuestIsReadyAgain) {
  Rig rig;
  FakeSidecar& sidecar = rig.attach();
  report_paused(rig, {3, 4, 5});
  for (std::uint64_t n = 1; n <= 3; ++n) retire(sidecar, n);
  resume(rig);
  for (std::uint64_t told = 1; told <= 3; ++told) {
    let_inject(sidecar, 3 + told, 2 + told);
    if (told == 1) {
      EXPECT_EQ(rig.run_posted(0), 1U);
    } else {
      EXPECT_EQ(rig.handle(), MEMFAIL_RESUME);
    }
    EXPECT_EQ(kind(sidecar, 3 + told), ReportKind::remembered);
    expect_told(rig, 2 + told);
    retire(sidecar, 3 + told);
    EXPECT_EQ(rig.handle(), MEMFAIL_RESUME);
    EXPECT_EQ(reports(rig), 3 + told) << "it has not seen the last one yet";
    rig.recover();
  }
  EXPECT_FALSE(has_to_tell(rig));
  rig.handle();
  EXPECT_EQ(reports(rig), 6U);
}

TEST_F(RememberedTest, AVcpusOwnReportsGoFirst) {
  Rig rig;
  FakeSidecar& sidecar = rig.attach();
  report_paused(rig, {3});
  memfail_vm_running(rig.shim(), 1);
  rig.raise(kOptional, 4);
  sidecar.answer(claim(0, 2, sidecar.geometry()),
                 verdict_only(Verdict::ignore, Reason::policy, Rig::gpa(4)));
  let_inject(sidecar, 3, 3);
  EXPECT_EQ(rig.handle(), MEMFAIL_RESUME);
  EXPECT_EQ(kind(sidecar, 2), ReportKind::sigbus);
  EXPECT_EQ(kind(sidecar, 3), ReportKind::remembered);
  expect_told(rig, 3);
}

TEST_F(RememberedTest, APassAfterWhichTheGuestDoesNotGoOnTellsNone) {
  Rig rig;
  FakeSidecar& sidecar = rig.attach();
  report_paused(rig, {3});
  memfail_vm_running(rig.shim(), 1);
  rig.raise(kRequired, 4);
  sidecar.answer(claim(0, 2, sidecar.geometry()), verdict_only(Verdict::reset, Reason::policy));
  EXPECT_EQ(rig.handle(), MEMFAIL_DO_RESET);
  EXPECT_EQ(reports(rig), 2U);
}

TEST_F(RememberedTest, TheSidecarIsNotAskedForAGuestThatIsNotReady) {
  Rig rig;
  FakeSidecar& sidecar = rig.attach();
  report_paused(rig, {3});
  rig.set_cr4_mce(false);
  resume(rig);
  EXPECT_EQ(rig.run_posted(0), 1U);
  rig.handle();
  EXPECT_EQ(reports(rig), 1U);
  EXPECT_EQ(rig.incidents().size(), 1U) << "no event says what has not changed";
  rig.set_cr4_mce(true);
  let_inject(sidecar, 2, 3);
  rig.handle();
  expect_told(rig, 3);
}

TEST_F(RememberedTest, AnotherVcpuThatIsReadyTellsItAtItsOwnOccasion) {
  Rig rig(2);
  FakeSidecar& sidecar = rig.attach();
  report_paused(rig, {3});
  rig.set_cr4_mce(false, 0);
  resume(rig);
  EXPECT_EQ(rig.run_posted(0), 1U);
  EXPECT_EQ(rig.run_posted(1), 0U);
  sidecar.answer(claim(1, 1, sidecar.geometry()), inject_optional(Rig::gpa(3)));
  EXPECT_EQ(rig.handle(1), MEMFAIL_RESUME);
  EXPECT_EQ(rig.bank_status(9, 1), kIntelOptional);
  EXPECT_EQ(rig.queued(1), 18);
  EXPECT_EQ(rig.queued(0), -1);
  EXPECT_FALSE(has_to_tell(rig));
}

TEST_F(RememberedTest, WhatTheGuestWasTooBusyForIsToldWhenItIsReady) {
  Rig rig;
  rig.set_msr(reference::kMsrMcgStatus, 4);
  rig.raise(kOptional, 3);
  rig.handle();
  EXPECT_EQ(rig.incidents().back().reason, static_cast<int>(Reason::mce_in_progress));
  EXPECT_TRUE(has_to_tell(rig));
  rig.set_msr(reference::kMsrMcgStatus, 0);
  rig.handle();
  expect_told(rig, 3);
}

TEST_F(RememberedTest, APageThatTheGuestKnowsIsNotRemembered) {
  Rig rig;
  rig.raise(kOptional, 3);
  rig.handle();
  expect_told(rig, 3);
  rig.recover();
  report_paused(rig, {3});
  EXPECT_FALSE(has_to_tell(rig));
}

// ---- what the sidecar declines ------------------------------------------------------

TEST_F(RememberedTest, WhatTheSidecarDeclinesItIsNotAskedAgain) {
  Rig rig;
  FakeSidecar& sidecar = rig.attach();
  report_paused(rig, {3});
  resume(rig);
  decline(sidecar, 2);
  EXPECT_EQ(rig.run_posted(0), 1U);
  EXPECT_EQ(kind(sidecar, 2), ReportKind::remembered);
  EXPECT_FALSE(has_to_tell(rig));
  for (int i = 0; i < 3; ++i) {
    rig.handle();
    pause(rig);
    resume(rig);
    EXPECT_EQ(rig.run_posted(0), 0U);
  }
  EXPECT_EQ(reports(rig), 2U);
  EXPECT_EQ(rig.queued(), -1);
}

TEST_F(RememberedTest, DecliningOneLeavesTheOthers) {
  Rig rig;
  FakeSidecar& sidecar = rig.attach();
  report_paused(rig, {3, 4});
  resume(rig);
  decline(sidecar, 3);
  EXPECT_EQ(rig.run_posted(0), 1U);
  let_inject(sidecar, 4, 4);
  rig.handle();
  expect_told(rig, 4);
  EXPECT_FALSE(has_to_tell(rig));
}

TEST_F(RememberedTest, AfterAGuestResetItMayBeRememberedAndAskedForAgain) {
  Rig rig;
  FakeSidecar& sidecar = rig.attach();
  report_paused(rig, {3});
  resume(rig);
  decline(sidecar, 2);
  rig.run_posted(0);
  memfail_guest_reset(rig.shim());
  resume(rig);
  EXPECT_EQ(rig.run_posted(0), 0U) << "not by itself";
  report_paused(rig, {3});
  resume(rig);
  let_inject(sidecar, 4, 3);
  EXPECT_EQ(rig.run_posted(0), 1U);
  EXPECT_EQ(kind(sidecar, 4), ReportKind::remembered);
  expect_told(rig, 3);
}

TEST_F(RememberedTest, WhatWasNotCarriedOutAsTheWorldChangedWasNotDeclined) {
  Rig rig;
  FakeSidecar& sidecar = rig.attach();
  report_paused(rig, {3});
  resume(rig);
  std::thread vcpu([&] { rig.run_posted(0); });
  const shm::Claim second = claim(0, 2, sidecar.geometry());
  ASSERT_TRUE(sidecar.wait_for_waiter(second));
  memfail_error error{};
  memfail_regions_begin(rig.shim());
  ASSERT_EQ(memfail_regions_commit(rig.shim(), &error), 0);
  let_inject(sidecar, 2, 3);
  vcpu.join();
  ASSERT_TRUE(sidecar.outcome(second));
  EXPECT_EQ(sidecar.outcome(second)->delivered(), Delivered::stale);
  EXPECT_TRUE(has_to_tell(rig));
  let_inject(sidecar, 3, 3);
  rig.handle();
  expect_told(rig, 3);
}

// ---- what comes between ----------------------------------------------------------------

TEST_F(RememberedTest, WithoutAFreeCellItWaitsForTheNextOccasion) {
  Rig rig;
  FakeSidecar& sidecar = rig.attach();
  report_paused(rig, {3, 4, 5, 6});  // all cells of the lane, and none is retired
  resume(rig);
  EXPECT_EQ(rig.run_posted(0), 1U);
  EXPECT_EQ(reports(rig), 4U);
  EXPECT_EQ(rig.shim()->request.lost_reports(), 0U) << "nothing is lost";
  retire(sidecar, 1);
  let_inject(sidecar, 5, 3);
  rig.handle();
  expect_told(rig, 3);
}

TEST_F(RememberedTest, AVmThatIsPausedBeforeItsVcpuComesToItIsToldTheNextTime) {
  Rig rig;
  report_paused(rig, {3});
  resume(rig);
  pause(rig);
  EXPECT_EQ(rig.run_posted(0), 1U);
  EXPECT_EQ(rig.queued(), -1);
  EXPECT_EQ(reports(rig), 1U);
  resume(rig);
  EXPECT_EQ(rig.run_posted(0), 1U);
  expect_told(rig, 3);
}

TEST_F(RememberedTest, APageThatIsGuestRamNoMoreIsNotAskedFor) {
  Rig rig;
  report_paused(rig, {3});
  memfail_error error{};
  memfail_regions_begin(rig.shim());
  ASSERT_EQ(memfail_regions_remove(rig.shim(), 1, &error), 0);
  ASSERT_EQ(memfail_regions_commit(rig.shim(), &error), 0);
  resume(rig);
  rig.run_posted(0);
  rig.handle();
  EXPECT_EQ(reports(rig), 1U);
}

TEST_F(RememberedTest, WhatItsVerdictAsksOfTheVmmComesBackFromTheNextPass) {
  Rig rig;
  FakeSidecar& sidecar = rig.attach();
  report_paused(rig, {3});
  resume(rig);
  sidecar.answer(claim(0, 2, sidecar.geometry()), verdict_only(Verdict::pause, Reason::policy));
  EXPECT_EQ(rig.run_posted(0), 1U);
  memfail_run_begin(rig.lane());
  EXPECT_EQ(memfail_run_end(rig.lane()), 1) << "there is something to handle";
  EXPECT_EQ(rig.handle(), MEMFAIL_DO_PAUSE);
  EXPECT_EQ(rig.handle(), MEMFAIL_RESUME);
}

}  // namespace
}  // namespace memfail::test
