// SPDX-License-Identifier: BSD-3-Clause
//
// Whose verdict counts. The vCPU has no machine-check registers here: injections end
// in the VMM's own "set MCE"; tests/kvm has the rest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"
#include "vmm_shim/outcome.h"

namespace memfail::test {
namespace {

using ::testing::HasSubstr;
using wire::DecidedBy;
using wire::Delivered;
using wire::Reason;
using wire::Verdict;

class VerdictTest : public ::testing::Test {
 protected:
  explicit VerdictTest(memfail_fallback fallback = MEMFAIL_FALLBACK_BUILTIN,
                       std::uint32_t deadline_ms = 500)
      : vm_([&](memfail_config& config) {
          config.socket_path = path_.c_str();
          config.fallback = fallback;
          config.deadline_ms = deadline_ms;
        }) {}
  void SetUp() override {
    install_handler();
    ASSERT_TRUE(sidecar_.attach(vm_));
  }
  void TearDown() override { ::signal(SIGBUS, SIG_DFL); }

  shm::Claim first() const { return claim(0, 1, sidecar_.geometry()); }
  wire::OutcomeLine outcome() {
    const auto line = sidecar_.outcome(first());
    EXPECT_TRUE(line);
    return line.value_or(wire::OutcomeLine());
  }
  // One incident at page 1 that the sidecar has answered before it is asked.
  int handle_answered(int code, const wire::ReplyLine& reply) {
    vm_.raise_in_run(code, vm_.hva(1));
    sidecar_.answer(first(), reply);
    return memfail_handle(vm_.lane());
  }
  void expect_session_dropped(const char* why) {
    memfail_shim_dispatch(vm_.shim());
    EXPECT_EQ(vm_.status().state, MEMFAIL_DETACHED);
    EXPECT_THAT(vm_.status().last_error, HasSubstr(why));
    EXPECT_TRUE(sidecar_.was_hung_up());
  }

  TempDir dir_;
  std::string path_ = dir_.file("s");
  FakeSidecar sidecar_{path_};
  TestVm vm_;
};

TEST_F(VerdictTest, AnInjectionIsCarriedOutAsTheSidecarSaid) {
  EXPECT_EQ(handle_answered(kRequired, inject_required(TestVm::gpa(1))), MEMFAIL_RESUME);
  ASSERT_EQ(vm_.machine_checks().size(), 1U);
  EXPECT_EQ(vm_.machine_checks()[0].status, 0xBD80'0000'0000'0134U);
  EXPECT_EQ(vm_.machine_checks()[0].addr, TestVm::gpa(1));
  EXPECT_EQ(vm_.machine_checks()[0].misc, 0x8CU);
  EXPECT_EQ(vm_.machine_checks()[0].mcg_status, 7U);
  EXPECT_EQ(vm_.machine_checks()[0].bank, 9U);
  EXPECT_EQ(outcome().decided_by(), DecidedBy::sidecar);
  EXPECT_EQ(outcome().verdict(), Verdict::inject);
  EXPECT_EQ(outcome().gpa(), TestVm::gpa(1));
  EXPECT_EQ(outcome().delivered(), Delivered::unverified) << "nothing can be read back";
  EXPECT_EQ(vm_.status().fallbacks, 0U);
  EXPECT_EQ(vm_.poisoned(), std::vector<std::uint64_t>{vm_.hva(1)});
}

TEST_F(VerdictTest, AnInjectionThatTheVmmCannotDoHasFailed) {
  vm_.set_mce_answer = -22;
  handle_answered(kRequired, inject_required(TestVm::gpa(1)));
  EXPECT_EQ(outcome().delivered(), Delivered::failed);
}

TEST_F(VerdictTest, AnOptionalOneThatFailedIsRemembered) {
  vm_.set_mce_answer = -22;
  handle_answered(kOptional, inject_optional(TestVm::gpa(1)));
  EXPECT_EQ(outcome().delivered(), Delivered::failed);
  EXPECT_TRUE(vm_.shim()->poison.has_to_tell());
}

TEST_F(VerdictTest, WhatFailedEndsAsTheVerdictHasItOtherwise) {
  vm_.set_mce_answer = -22;
  const auto reply = inject_required(TestVm::gpa(1), wire::SiblingRule::none, Verdict::pause);
  EXPECT_EQ(handle_answered(kRequired, reply), MEMFAIL_DO_PAUSE);
  EXPECT_EQ(outcome().verdict(), Verdict::pause);
  EXPECT_EQ(outcome().reason(), Reason::dropped_by_kvm);
  EXPECT_EQ(outcome().delivered(), Delivered::failed);
}

// Most likely it was told. A guest that was not meets the page again: that is counted.
TEST_F(VerdictTest, WhatCannotBeReadBackIsTakenForTold) {
  const auto reply = inject_required(TestVm::gpa(1), wire::SiblingRule::none, Verdict::reset);
  EXPECT_EQ(handle_answered(kRequired, reply), MEMFAIL_RESUME);
  EXPECT_EQ(outcome().verdict(), Verdict::inject);
  EXPECT_EQ(outcome().reason(), Reason::guest_memory);
  EXPECT_EQ(outcome().delivered(), Delivered::unverified);
}

TEST_F(VerdictTest, ResetPauseRetryAndIgnoreComeBackAsFlags) {
  struct Row {
    Verdict verdict;
    int flags;
  };
  std::uint64_t n = 0;
  for (const Row& row :
       {Row{Verdict::reset, MEMFAIL_DO_RESET}, Row{Verdict::pause, MEMFAIL_DO_PAUSE},
        Row{Verdict::retry, MEMFAIL_RESUME}, Row{Verdict::ignore, MEMFAIL_RESUME}}) {
    const shm::Claim next = claim(0, ++n, sidecar_.geometry());
    vm_.raise_in_run(kRequired, vm_.hva(1));
    sidecar_.answer(next, verdict_only(row.verdict, Reason::policy, TestVm::gpa(1)));
    EXPECT_EQ(memfail_handle(vm_.lane()), row.flags);
    ASSERT_TRUE(sidecar_.outcome(next));
    EXPECT_EQ(sidecar_.outcome(next)->verdict(), row.verdict);
    EXPECT_EQ(sidecar_.outcome(next)->delivered(), Delivered::none);
  }
  EXPECT_TRUE(vm_.machine_checks().empty());
}

TEST_F(VerdictTest, AbortIsCarriedOutByTheVmmAfterTheOutcomeIsThere) {
  vm_.on_abort = [&] { EXPECT_EQ(outcome().verdict(), Verdict::abort); };
  handle_answered(kRequired, verdict_only(Verdict::abort, Reason::policy));
  EXPECT_EQ(vm_.aborts(), 1);
}

TEST_F(VerdictTest, AWordThatIsThereBeforeItIsAskedForCostsNoSlice) {
  handle_answered(kRequired, inject_required(TestVm::gpa(1)));
  EXPECT_EQ(vm_.status().slices, 0U);
}

// ---- what is not plausible ---------------------------------------------------------

struct Lie {
  const char* name;
  wire::ReplyLine reply;
};

wire::ReplyLine changed(void (*change)(std::uint8_t& bank, std::uint64_t& status,
                                       std::uint64_t& address, std::uint64_t& gpa)) {
  std::uint8_t bank = 9;
  std::uint64_t status = 0xBD80'0000'0000'0134;
  std::uint64_t address = TestVm::gpa(1);
  std::uint64_t gpa = address;
  change(bank, status, address, gpa);
  return {0,
          0,
          Verdict::inject,
          Reason::guest_memory,
          wire::SiblingRule::none,
          bank,
          0,
          Verdict::ignore,
          0x8C,
          7,
          status,
          address,
          gpa,
          0,
          0};
}

const std::vector<Lie>& lies() {
  static const std::vector<Lie> all = {
      {"ABankThatIsNotThere", changed([](auto& bank, auto&, auto&, auto&) { bank = 10; })},
      {"TheLastBankNumber", changed([](auto& bank, auto&, auto&, auto&) { bank = 255; })},
      {"AStatusOfItsOwn", changed([](auto&, auto& status, auto&, auto&) { status |= 1; })},
      {"AContextCorruptStatus",
       changed([](auto&, auto& status, auto&, auto&) { status |= std::uint64_t{1} << 57; })},
      {"TheAddressOfAnotherPage",
       changed([](auto&, auto&, auto& address, auto&) { address = TestVm::gpa(2); })},
      {"AnAddressOutsideRam",
       changed([](auto&, auto&, auto& address, auto&) { address = 0x1000; })},
      {"AnUnalignedAddress", changed([](auto&, auto&, auto& address, auto&) { address += 8; })},
      {"AnotherPageThanItsRecords",
       changed([](auto&, auto&, auto&, auto& gpa) { gpa = TestVm::gpa(2); })},
      {"AnotherPageWithoutARecord", verdict_only(Verdict::ignore, Reason::policy, TestVm::gpa(2))},
      {"NoVerdict", verdict_only(Verdict::none, Reason::none)},
      {"AnUnknownVerdict", verdict_only(static_cast<Verdict>(8), Reason::none)},
      {"AnUnknownReason", verdict_only(Verdict::ignore, static_cast<Reason>(200))},
      {"AnUnknownSiblingRule", inject_required(TestVm::gpa(1), static_cast<wire::SiblingRule>(3))},
  };
  return all;
}

class Implausible : public VerdictTest, public ::testing::WithParamInterface<std::size_t> {};

TEST_P(Implausible, EndsTheSessionAndTheFallbackDecides) {
  EXPECT_EQ(handle_answered(kOptional, lies()[GetParam()].reply), MEMFAIL_RESUME);
  EXPECT_TRUE(vm_.machine_checks().empty());
  EXPECT_EQ(outcome().decided_by(), DecidedBy::builtin);
  EXPECT_EQ(outcome().verdict(), Verdict::ignore);
  EXPECT_EQ(vm_.status().fallbacks, 1U);
  expect_session_dropped("lied");
}

INSTANTIATE_TEST_SUITE_P(Lies, Implausible, ::testing::Range(std::size_t{0}, lies().size()),
                         [](const auto& given) { return lies()[given.param].name; });

TEST_F(VerdictTest, AReplyWithABadChecksumEndsTheSession) {
  vm_.raise_in_run(kOptional, vm_.hva(1));
  sidecar_.write_reply_word(first(), 2);
  memfail_handle(vm_.lane());
  EXPECT_EQ(outcome().decided_by(), DecidedBy::builtin);
  expect_session_dropped("lied");
}

TEST_F(VerdictTest, AReplyWordThatMovesWithoutMatchingEndsTheSession) {
  vm_.raise_in_run(kOptional, vm_.hva(1));
  std::atomic<bool> done{false};
  std::thread peer([&] {
    std::uint64_t word = 100;
    while (!done.load() && word < 100'000'000) sidecar_.write_reply_word(first(), word += 2);
  });
  memfail_handle(vm_.lane());
  done.store(true);
  peer.join();
  EXPECT_EQ(outcome().decided_by(), DecidedBy::builtin);
  EXPECT_LT(outcome().latency_ns(), 500'000'000U) << "not only at the deadline";
  expect_session_dropped("lied");
}

// ---- time --------------------------------------------------------------------------

class ShortDeadline : public VerdictTest {
 protected:
  ShortDeadline() : VerdictTest(MEMFAIL_FALLBACK_BUILTIN, 30) {}
};

TEST_F(ShortDeadline, PassedTheFallbackDecidesAndALateVerdictIsNeverLookedAt) {
  vm_.raise_in_run(kOptional, vm_.hva(1));
  EXPECT_EQ(memfail_handle(vm_.lane()), MEMFAIL_RESUME);
  EXPECT_EQ(outcome().decided_by(), DecidedBy::builtin);
  EXPECT_GE(outcome().latency_ns(), 30'000'000U);
  sidecar_.answer(first(), verdict_only(Verdict::reset, Reason::policy));
  EXPECT_EQ(memfail_handle(vm_.lane()), MEMFAIL_RESUME);
  memfail_shim_dispatch(vm_.shim());
  EXPECT_EQ(outcome().verdict(), Verdict::ignore);
  EXPECT_EQ(vm_.incidents().size(), 1U);
  EXPECT_EQ(vm_.status().state, MEMFAIL_ATTACHED) << "being late is no lie";
}

TEST_F(ShortDeadline, CountsFromTheSignalNotFromTheHandling) {
  vm_.raise_in_run(kOptional, vm_.hva(1));
  pollfd none{-1, 0, 0};
  ::poll(&none, 0, 40);  // the VMM was busy elsewhere
  sidecar_.answer(first(), verdict_only(Verdict::reset, Reason::policy));
  EXPECT_EQ(memfail_handle(vm_.lane()), MEMFAIL_RESUME);
  EXPECT_EQ(outcome().decided_by(), DecidedBy::builtin);
}

TEST_F(VerdictTest, ASidecarThatDiesWhileAVcpuWaitsIsNotWaitedFor) {
  vm_.raise_in_run(kOptional, vm_.hva(1));
  std::thread vcpu([&] { memfail_handle(vm_.lane()); });
  ASSERT_TRUE(sidecar_.wait_for_waiter(first()));
  sidecar_.hang_up();
  memfail_shim_dispatch(vm_.shim());
  vcpu.join();
  EXPECT_EQ(outcome().decided_by(), DecidedBy::builtin);
  EXPECT_LT(outcome().latency_ns(), 400'000'000U);
}

TEST_F(VerdictTest, AWaitingVcpuIsWokenByTheAnswerWithoutASlice) {
  vm_.raise_in_run(kRequired, vm_.hva(1));
  std::thread vcpu([&] { memfail_handle(vm_.lane()); });
  ASSERT_TRUE(sidecar_.wait_for_waiter(first()));
  sidecar_.answer(first(), inject_required(TestVm::gpa(1)));
  vcpu.join();
  EXPECT_EQ(outcome().decided_by(), DecidedBy::sidecar);
}

// ---- a world that changed in between -------------------------------------------------

TEST_F(VerdictTest, AnInjectionIsStaleWhenTheRegionsChangedInBetween) {
  vm_.raise_in_run(kRequired, vm_.hva(1));
  sidecar_.answer(first(), inject_required(TestVm::gpa(1)));
  vm_.change_regions();
  EXPECT_EQ(memfail_handle(vm_.lane()), MEMFAIL_RESUME);
  EXPECT_TRUE(vm_.machine_checks().empty());
  EXPECT_EQ(outcome().delivered(), Delivered::stale);
  EXPECT_EQ(outcome().decided_by(), DecidedBy::sidecar);
}

TEST_F(VerdictTest, AnInjectionIsStaleAfterAGuestReset) {
  vm_.raise_in_run(kRequired, vm_.hva(1));
  sidecar_.answer(first(), inject_required(TestVm::gpa(1)));
  memfail_guest_reset(vm_.shim());
  EXPECT_EQ(memfail_handle(vm_.lane()), MEMFAIL_RESUME);
  EXPECT_TRUE(vm_.machine_checks().empty());
  EXPECT_EQ(outcome().delivered(), Delivered::stale);
}

TEST_F(VerdictTest, AResetIsStaleAfterAGuestReset) {
  vm_.raise_in_run(kRequired, vm_.hva(1));
  sidecar_.answer(first(), verdict_only(Verdict::reset, Reason::policy, TestVm::gpa(1)));
  memfail_guest_reset(vm_.shim());
  EXPECT_EQ(memfail_handle(vm_.lane()), MEMFAIL_RESUME) << "the guest has been reset already";
  EXPECT_EQ(outcome().delivered(), Delivered::stale);
}

// ---- the other fallbacks ---------------------------------------------------------------

class FallbackVmm : public VerdictTest {
 protected:
  FallbackVmm() : VerdictTest(MEMFAIL_FALLBACK_VMM) {}
};

TEST_F(FallbackVmm, HandsTheFailureBackAsTheKernelGaveIt) {
  sidecar_.hang_up();
  memfail_shim_dispatch(vm_.shim());
  vm_.raise_in_run(kRequired, vm_.hva(1) + 8);
  EXPECT_EQ(memfail_handle(vm_.lane()), MEMFAIL_HAND_BACK);
  siginfo_t info{};
  ASSERT_EQ(memfail_handed_back(vm_.lane(), &info), 1);
  EXPECT_EQ(info.si_signo, SIGBUS);
  EXPECT_EQ(info.si_code, kRequired);
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(info.si_addr), vm_.hva(1) + 8);
  EXPECT_EQ(info.si_addr_lsb, 12);
  EXPECT_EQ(memfail_handed_back(vm_.lane(), &info), 0);
  ASSERT_EQ(vm_.incidents().size(), 1U);
  EXPECT_EQ(vm_.incidents()[0].decided_by, static_cast<int>(DecidedBy::vmm));
}

class FallbackAbort : public VerdictTest {
 protected:
  FallbackAbort() : VerdictTest(MEMFAIL_FALLBACK_ABORT) {}
};

TEST_F(FallbackAbort, EndsTheVmm) {
  sidecar_.hang_up();
  memfail_shim_dispatch(vm_.shim());
  vm_.raise_in_run(kRequired, vm_.hva(1));
  memfail_handle(vm_.lane());
  EXPECT_EQ(vm_.aborts(), 1);
  EXPECT_EQ(outcome().decided_by(), DecidedBy::abort);
}

// ---- at most once ------------------------------------------------------------------------

TEST_F(VerdictTest, OfTwoThreadsThatWantToCarryOutOneDoes) {
  for (std::uint64_t n = 1; n <= 2000; ++n) {
    const shm::Claim next = claim(0, n, sidecar_.geometry());
    std::atomic<int> ready{0};
    std::atomic<int> winners{0};
    const auto race = [&](DecidedBy by) {
      const wire::OutcomeLine line(0, 0, Verdict::inject, by, Delivered::none, Reason::none, 0, 0,
                                   0, 0, 0, 0, 0, 0, 0, 0);
      ready.fetch_add(1);
      while (ready.load() < 2) std::this_thread::yield();
      winners.fetch_add(shim::claim_outcome(*vm_.shim(), next, line) ? 1 : 0);
    };
    std::thread other(race, DecidedBy::builtin);
    race(DecidedBy::sidecar);
    other.join();
    ASSERT_EQ(winners.load(), 1) << n;
    const wire::OutcomeLine again;
    EXPECT_FALSE(shim::claim_outcome(*vm_.shim(), next, again));
  }
}

}  // namespace
}  // namespace memfail::test
