// SPDX-License-Identifier: BSD-3-Clause
//
// Errors that end the VMM, or pause it: action required outside KVM_RUN. Each in a process
// of its own.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "tests/unit/shim/fake_sidecar.h"
#include "tests/unit/shim/test_vm.h"
#include "vmm_shim/state.h"

namespace memfail::test {
namespace {

constexpr int kAborted = 42;

struct Ending {
  bool vcpu = true;      // else the process lane
  int code = kRequired;
  bool attached = true;
  bool guarded = false;  // the VMM says that it can leave the access
  bool no_room = false;  // as many such pages wait for the VMM's loop as there is room for
};

constexpr int kPaused = 43;
constexpr int kLeftOut = 44;

// The VMM: attaches, meets the error outside KVM_RUN, and must end in ops.abort.
[[noreturn]] void be_vmm(const std::string& path, const Ending& ending) {
  install_handler();
  TestVm vm([&](memfail_config& config) {
    if (ending.attached) config.socket_path = path.c_str();
    if (ending.guarded) config.ops.guarded = [](void*) { return 1; };
  });
  vm.on_abort = [] { ::_exit(kAborted); };
  memfail_error error{};
  if (ending.attached && memfail_shim_attach(vm.shim(), 5000, &error) != 0) ::_exit(1);
  if (!ending.vcpu) own_lane = memfail_process_lane(vm.shim());
  if (ending.no_room) {
    for (auto& place : vm.shim()->met_outside) place.store(vm.hva(9));
  }
  raise_sigbus(ending.code, vm.hva());
  if (last_result != MEMFAIL_SIGBUS_PAUSE) ::_exit(2);
  // Its owner is told where that is allowed: not in the handler.
  if (!vm.poisoned().empty()) ::_exit(3);
  memfail_shim_dispatch(vm.shim());
  if (memfail_poison_export(vm.shim(), nullptr, 0) == -EOVERFLOW) ::_exit(kLeftOut);
  ::_exit(vm.poisoned() == std::vector{vm.hva()} ? kPaused : 4);
}

pid_t start_vmm(const std::string& path, const Ending& ending) {
  const pid_t child = ::fork();
  if (child == 0) be_vmm(path, ending);
  return child;
}

int exit_code(pid_t child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool serve_attach(FakeSidecar& sidecar) {
  if (!sidecar.take_hello()) return false;
  sidecar.make_reply_area();
  sidecar.send_welcome();
  if (!sidecar.take_until_commit()) return false;
  sidecar.send_ack(sidecar.commit_id());
  return true;
}

class SigbusOutside : public ::testing::TestWithParam<bool> {
 protected:
  TempDir dir_;
  std::string path_ = dir_.file("s");
  FakeSidecar sidecar_{path_};
};

TEST_P(SigbusOutside, TheSidecarsWordIsWaitedForAndTheOutcomeLeftBehind) {
  const pid_t child = start_vmm(path_, {.vcpu = GetParam()});
  ASSERT_TRUE(serve_attach(sidecar_));
  const std::uint32_t lane = GetParam() ? 0 : sidecar_.geometry().vcpus();
  const shm::Claim first = claim(lane, 1, sidecar_.geometry());
  ASSERT_TRUE(sidecar_.wait_for_waiter(first));
  const auto report = sidecar_.line<wire::ReportLine>(first, shm::LineKind::kReport);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->thread(),
            GetParam() ? wire::ThreadKind::vcpu_outside : wire::ThreadKind::other);
  sidecar_.answer(first, verdict_only(wire::Verdict::abort, wire::Reason::vmm_memory));
  EXPECT_EQ(exit_code(child), kAborted);
  const auto outcome = sidecar_.outcome(first);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->verdict(), wire::Verdict::abort);
  EXPECT_EQ(outcome->decided_by(), wire::DecidedBy::sidecar);
  EXPECT_EQ(outcome->reason(), wire::Reason::vmm_memory);
}

// The VMM's end is the last that is seen of it: its incident must be on record by then.
TEST_P(SigbusOutside, AVerdictThatIsNotOnRecordYetIsWaitedForUntilItIs) {
  const pid_t child = start_vmm(path_, {.vcpu = GetParam()});
  ASSERT_TRUE(serve_attach(sidecar_));
  const std::uint32_t lane = GetParam() ? 0 : sidecar_.geometry().vcpus();
  const shm::Claim first = claim(lane, 1, sidecar_.geometry());
  ASSERT_TRUE(sidecar_.wait_for_waiter(first));
  constexpr auto kAbort = wire::Verdict::abort;
  sidecar_.answer(first, verdict_only(kAbort, wire::Reason::vmm_memory, wire::kNoAddress, false));
  sidecar_.answer(first, verdict_only(kAbort, wire::Reason::guest_memory_by_vmm));
  EXPECT_EQ(exit_code(child), kAborted);
  const auto outcome = sidecar_.outcome(first);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->decided_by(), wire::DecidedBy::sidecar);
  EXPECT_EQ(outcome->reason(), wire::Reason::guest_memory_by_vmm);
}

TEST_P(SigbusOutside, OneThatNeverComesOnRecordIsFollowedAtTheDeadline) {
  const pid_t child = start_vmm(path_, {.vcpu = GetParam()});
  ASSERT_TRUE(serve_attach(sidecar_));
  const std::uint32_t lane = GetParam() ? 0 : sidecar_.geometry().vcpus();
  const shm::Claim first = claim(lane, 1, sidecar_.geometry());
  ASSERT_TRUE(sidecar_.wait_for_waiter(first));
  sidecar_.answer(
      first, verdict_only(wire::Verdict::abort, wire::Reason::vmm_memory, wire::kNoAddress, false));
  EXPECT_EQ(exit_code(child), kAborted);
  const auto outcome = sidecar_.outcome(first);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->decided_by(), wire::DecidedBy::sidecar);
  EXPECT_EQ(outcome->reason(), wire::Reason::vmm_memory);
  EXPECT_GE(outcome->latency_ns(), 500'000'000U);
}

TEST_P(SigbusOutside, ASilentSidecarIsWaitedForUntilTheDeadlineOnly) {
  const pid_t child = start_vmm(path_, {.vcpu = GetParam()});
  ASSERT_TRUE(serve_attach(sidecar_));
  EXPECT_EQ(exit_code(child), kAborted);
  const std::uint32_t lane = GetParam() ? 0 : sidecar_.geometry().vcpus();
  const auto outcome = sidecar_.outcome(claim(lane, 1, sidecar_.geometry()));
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->verdict(), wire::Verdict::abort);
  EXPECT_EQ(outcome->decided_by(), wire::DecidedBy::builtin);
  EXPECT_EQ(outcome->reason(), wire::Reason::outside_guest);
  EXPECT_GE(outcome->latency_ns(), 500'000'000U);
}

TEST_P(SigbusOutside, WithoutASidecarTheVmmEndsAtOnce) {
  EXPECT_EQ(exit_code(start_vmm(path_, {.vcpu = GetParam(), .attached = false})), kAborted);
}

TEST_P(SigbusOutside, AnErrorWithoutAnAddressEndsTheVmmToo) {
  const pid_t child = start_vmm(path_, {.vcpu = GetParam(), .code = 0x80});
  ASSERT_TRUE(serve_attach(sidecar_));
  EXPECT_EQ(exit_code(child), kAborted);
  const std::uint32_t lane = GetParam() ? 0 : sidecar_.geometry().vcpus();
  const auto outcome = sidecar_.outcome(claim(lane, 1, sidecar_.geometry()));
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->reason(), wire::Reason::no_address);
}

TEST_P(SigbusOutside, AnAccessThatCanBeLeftPausesTheVmWhereThePolicySaysSo) {
  for (const bool guarded : {true, false}) {
    FakeSidecar sidecar(dir_.file(guarded ? "guarded" : "plain"));
    const pid_t child = start_vmm(dir_.file(guarded ? "guarded" : "plain"),
                                  {.vcpu = GetParam(), .guarded = guarded});
    ASSERT_TRUE(serve_attach(sidecar));
    const std::uint32_t lane = GetParam() ? 0 : sidecar.geometry().vcpus();
    const shm::Claim first = claim(lane, 1, sidecar.geometry());
    ASSERT_TRUE(sidecar.wait_for_waiter(first));
    sidecar.answer(first, verdict_only(wire::Verdict::pause, wire::Reason::guest_memory_by_vmm));
    EXPECT_EQ(exit_code(child), guarded ? kPaused : kAborted);
    const auto outcome = sidecar.outcome(first);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->verdict(), guarded ? wire::Verdict::pause : wire::Verdict::abort);
  }
}

// The list is known not to have it then: no migration goes without it.
TEST_P(SigbusOutside, APageThatThereIsNoRoomToRememberIsLeftOutByName) {
  const pid_t child = start_vmm(path_, {.vcpu = GetParam(), .guarded = true, .no_room = true});
  ASSERT_TRUE(serve_attach(sidecar_));
  const std::uint32_t lane = GetParam() ? 0 : sidecar_.geometry().vcpus();
  const shm::Claim first = claim(lane, 1, sidecar_.geometry());
  ASSERT_TRUE(sidecar_.wait_for_waiter(first));
  sidecar_.answer(first, verdict_only(wire::Verdict::pause, wire::Reason::guest_memory_by_vmm));
  EXPECT_EQ(exit_code(child), kLeftOut);
}

INSTANTIATE_TEST_SUITE_P(Threads, SigbusOutside, ::testing::Bool(), [](const auto& given) {
  return given.param ? "OnAVcpusThread" : "OnAnotherThread";
});

}  // namespace
}  // namespace memfail::test
