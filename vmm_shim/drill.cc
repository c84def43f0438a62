// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/drill.h"

#include <pthread.h>

#include <bit>

#include "shm/raw_syscall.h"
#include "sidecar/decision/severity.h"
#include "sidecar/decision/vcpu_state.h"
#include "vmm_shim/regions.h"
#include "vmm_shim/snapshot.h"

namespace memfail::shim {
namespace {

using wire::OperatorRefusal;
using Seen = DrillSignal::Seen;

constexpr std::uint64_t kPageMask = decision::kPageSize - 1;
constexpr short kPageShift = 12;

struct Target {
  OperatorAnswer refusal;
  std::uint64_t hva = 0;  // the page's start
  std::uint64_t page_size = 0;  // of its backing
};

Target find_target(memfail_shim& shim, std::uint64_t gpa) {
  const auto region = region_of_gpa(shim, gpa);
  if (!region) return {refused(OperatorRefusal::not_in_ram, gpa)};
  if ((region->flags & decision::kRegionNoHva) != 0) {
    return {refused(OperatorRefusal::no_hva, gpa)};
  }
  const std::uint64_t hva = (region->hva + (gpa - region->gpa)) & ~kPageMask;
  // What really failed has a history, which a drill must not lengthen.
  if (shim.poison.is_broken(hva)) return {refused(OperatorRefusal::really_broken, gpa)};
  return {{}, hva, region->page_size};
}

bool is_started(const memfail_lane& lane) {
  return decision::vcpu_state(lane.shim->profile, take_snapshot(lane), 0).started;
}

// rt_sigaction(2)'s own, on x86-64.
struct KernelAction {
  void (*handler)(int) = nullptr;
  unsigned long flags = 0;
  void (*restorer)() = nullptr;
  unsigned long mask = 0;
};

// Without a handler the signal would end the VMM; blocked, it would wait in vain.
OperatorRefusal check_handler() {
  // Looked at by the plain call: the library is not to have sigaction() at all.
  KernelAction action;
  shm::raw_syscall(SYS_rt_sigaction, SIGBUS, 0, shm::as_argument(&action), sizeof action.mask);
  if (action.handler == SIG_DFL || action.handler == SIG_IGN) return OperatorRefusal::no_handler;
  sigset_t blocked;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  return ::sigismember(&blocked, SIGBUS) == 1 ? OperatorRefusal::signal_blocked
                                              : OperatorRefusal::none;
}

// As the kernel has it: the page itself for an access, the backing page's size for one
// that nobody has touched.
siginfo_t signal_of(const Target& target, int code) {
  siginfo_t info{};
  info.si_signo = SIGBUS;
  info.si_code = code;
  info.si_addr = reinterpret_cast<void*>(target.hva);
  const bool optional = code == decision::kCodeActionOptional;
  info.si_addr_lsb = optional ? static_cast<short>(std::countr_zero(target.page_size)) : kPageShift;
  return info;
}

// Returns after the handler has run. 0 or negative errno.
long raise(memfail_shim& shim, const memfail_lane& lane, const Target& target, int code) {
  siginfo_t info = signal_of(target, code);
  const long tid = shm::raw_syscall(SYS_gettid);
  DrillSignal& signal = shim.drill;
  signal.hva = target.hva;
  signal.code = code;
  signal.vcpu = lane.vcpu;
  signal.seen = Seen::kNot;
  signal.tid.store(static_cast<std::uint32_t>(tid), std::memory_order_release);
  const long sent = shm::raw_syscall(SYS_rt_tgsigqueueinfo, static_cast<long>(shim.pid), tid,
                                     SIGBUS, shm::as_argument(&info));
  signal.tid.store(0, std::memory_order_release);
  return sent;
}

OperatorAnswer answer_of(const DrillSignal& signal) {
  switch (signal.seen) {
    case Seen::kReported:
      return {OperatorRefusal::none, 0, 0, static_cast<std::uint32_t>(signal.vcpu),
              signal.sequence};
    case Seen::kNoCell:
      return refused(OperatorRefusal::lane_full, static_cast<std::uint64_t>(signal.vcpu));
    case Seen::kWrongLane:
      return refused(OperatorRefusal::wrong_lane, static_cast<std::uint64_t>(signal.vcpu));
    case Seen::kNot:
      break;
  }
  return refused(OperatorRefusal::not_reported);
}

}  // namespace

OperatorAnswer check_drill(memfail_shim& shim, const OperatorRequest& request) {
  return find_target(shim, request.gpa).refusal;
}

OperatorAnswer drill_here(const memfail_lane& lane, const OperatorRequest& request) {
  memfail_shim& shim = *lane.shim;
  if (!is_started(lane)) return refused(OperatorRefusal::vcpu_not_started, request.vcpu);
  if (const auto refusal = check_handler(); refusal != OperatorRefusal::none) {
    return refused(refusal, request.vcpu);
  }
  const Target target = find_target(shim, request.gpa);  // the regions may have changed
  if (target.refusal.refusal != OperatorRefusal::none) return target.refusal;
  const long sent = raise(shim, lane, target, request.code);
  if (sent < 0) return refused(OperatorRefusal::failed, static_cast<std::uint64_t>(-sent));
  return answer_of(shim.drill);
}

bool is_drill(const memfail_shim& shim, const siginfo_t& info) {
  const DrillSignal& signal = shim.drill;
  const std::uint32_t tid = signal.tid.load(std::memory_order_acquire);
  return tid != 0 && static_cast<std::uint32_t>(shm::raw_syscall(SYS_gettid)) == tid &&
         info.si_code == signal.code &&
         reinterpret_cast<std::uintptr_t>(info.si_addr) == signal.hva;
}

}  // namespace memfail::shim
