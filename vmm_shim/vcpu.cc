// SPDX-License-Identifier: BSD-3-Clause
//
// The C interface of a vCPU's thread: the KVM_RUN bracket and one pass over a lane.
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "memfail/shim.h"
#include "shm/reply_wait.h"
#include "sidecar/decision/severity.h"
#include "vmm_shim/failure.h"
#include "vmm_shim/handle.h"
#include "vmm_shim/kvm.h"
#include "vmm_shim/regions.h"
#include "vmm_shim/remembered.h"
#include "vmm_shim/wake.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace memfail::shim {
namespace {

struct Candidate {
  shm::Claim claim;
  bool action_required = false;
};

bool comes_before(const Candidate& a, const Candidate& b) {
  if (a.action_required != b.action_required) return a.action_required;
  return a.claim.n < b.claim.n;
}

// The next committed report of a vCPU's lane that nobody has taken up: action
// required first, then the oldest.
std::optional<shm::Claim> next_report(memfail_lane& lane) {
  memfail_shim& shim = *lane.shim;
  std::optional<Candidate> best;
  for (std::uint32_t index = 0; index < shm::kCellsPerLane; ++index) {
    const shm::CellId id{static_cast<std::uint32_t>(lane.vcpu), index};
    const std::uint64_t word =
        shm::load_word(shim.request.line(id, shm::LineKind::kReport), wire::kWordOffset);
    const std::uint64_t n = word / 2;
    wire::ReportLine report;
    if (n <= shim.cell(id).handled.load() || !own_report(shim, {id, n}, report)) continue;
    const bool required =
        decision::severity_of(report.kind(), report.code()) == decision::Severity::kActionRequired;
    const Candidate candidate{{id, n}, required};
    if (!best || comes_before(candidate, *best)) best = candidate;
  }
  return best ? std::optional(best->claim) : std::nullopt;
}

// A report for which no cell was free, already counted.
int handle_overflow(memfail_lane& lane) {
  const siginfo_t info = lane.overflow.info;
  lane.overflow.waiting.store(0, std::memory_order_relaxed);
  return handle_without_cell(
      lane, {0, 0, wire::ReportKind::sigbus, wire::ThreadKind::vcpu_in_run,
             static_cast<std::uint8_t>(info.si_addr_lsb), 0,
             reinterpret_cast<std::uintptr_t>(info.si_addr), 0, shm::monotonic_ns(), info.si_code,
             0, lane.shim->regions.generation.load(std::memory_order_acquire),
             lane.shim->guest_epoch.load(std::memory_order_acquire), 0});
}

// Reports an exit of KVM_RUN as the handler reports a signal, and handles it.
int report_exit(memfail_lane& lane, wire::ReportKind kind, std::uint64_t hva, std::uint64_t gpa) {
  memfail_shim& shim = *lane.shim;
  shim.reports.fetch_add(1, std::memory_order_relaxed);
  const auto claim =
      shm::claim_in_lane(shim.request, shim.reply, static_cast<std::uint32_t>(lane.vcpu));
  if (!claim) {
    shm::count_lost_report(shim.request);
    shm::ring(shim.reply, shim.session.kick.get());
    return MEMFAIL_DO_RESET;  // the guest's instruction cannot be completed
  }
  const wire::ReportLine report(0, 0, kind, wire::ThreadKind::vcpu_in_run, 0, 0, hva, gpa,
                                shm::monotonic_ns(), decision::kCodeActionRequired, 0,
                                shim.regions.generation.load(std::memory_order_acquire),
                                shim.guest_epoch.load(std::memory_order_acquire), 0);
  shm::write_line(shim.request.line(claim->id, shm::LineKind::kReport), report,
                  shim.key(claim->id.lane), claim->n);
  // With a snapshot to come, its commit kicks.
  if (kind == wire::ReportKind::mmio_exit) shm::ring(shim.reply, shim.session.kick.get());
  return handle_report(lane, *claim) | memfail_handle(&lane);
}

}  // namespace
}  // namespace memfail::shim

namespace decision = memfail::decision;
using memfail::shim::BackingPage;
using memfail::shim::fail;

int memfail_vcpu_add(memfail_shim* shim, const memfail_vcpu* given, memfail_lane** out,
                     memfail_error* error) {
  memfail_vcpu vcpu{};
  std::memcpy(&vcpu, given, std::min<std::size_t>(given->struct_size, sizeof vcpu));
  if (vcpu.index >= shim->geometry.vcpus()) {
    return fail(error, -ERANGE, "vCPU index %u is out of range; the VM has %u", vcpu.index,
                shim->geometry.vcpus());
  }
  memfail_lane& lane = shim->lanes[vcpu.index];
  if (lane.present.load(std::memory_order_acquire) != 0) {
    return fail(error, -EEXIST, "vCPU %u is there already", vcpu.index);
  }
  if (vcpu.vcpu_fd < 0 || vcpu.run == nullptr) {
    return fail(error, -EINVAL, "vCPU %u has no descriptor or no kvm_run", vcpu.index);
  }
  lane.vcpu_fd = vcpu.vcpu_fd;
  lane.run = vcpu.run;
  lane.present.store(1, std::memory_order_release);
  *out = &lane;
  return 0;
}

void memfail_vcpu_online(memfail_lane* lane, int online) {
  if (lane->vcpu < 0) return;
  lane->present.store(online != 0 ? 1 : 0, std::memory_order_release);
  memfail::shim::wake_dispatch(*lane->shim);
}

memfail_lane* memfail_process_lane(memfail_shim* shim) { return &shim->process_lane; }

int memfail_thread_enter(memfail_lane* lane, memfail_error* error) {
  sigset_t blocked;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  if (::sigismember(&blocked, SIGBUS) == 0) return 0;
  return fail(error, -EBUSY,
              "SIGBUS is blocked in this thread (%s %d): the kernel would kill the process on its "
              "first action-required error; unblock it",
              lane->vcpu < 0 ? "process lane" : "vCPU", lane->vcpu);
}

void memfail_run_begin(memfail_lane* lane) {
  lane->in_run.store(1, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  // A signal from here on finds in_run set and stops KVM_RUN by itself.
  if (lane->pending.load(std::memory_order_acquire) != 0) {
    lane->run->immediate_exit = 1;
    lane->set_immediate_exit = true;
  }
}

int memfail_run_end(memfail_lane* lane) {
  lane->in_run.store(0, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return lane->pending.load(std::memory_order_acquire) != 0 ? 1 : 0;
}

int memfail_handle(memfail_lane* lane) {
  if (lane->vcpu < 0) return MEMFAIL_RESUME;  // the process lane's are dispatch's
  if (lane->set_immediate_exit) {
    lane->set_immediate_exit = false;
    lane->run->immediate_exit = 0;
  }
  int flags = MEMFAIL_RESUME;
  while (true) {
    lane->pending.store(0, std::memory_order_release);
    const auto claim = memfail::shim::next_report(*lane);
    if (claim) {
      flags |= memfail::shim::handle_report(*lane, *claim);
    } else if (lane->overflow.waiting.load(std::memory_order_relaxed) != 0) {
      flags |= memfail::shim::handle_overflow(*lane);
    } else {
      break;
    }
  }
  if (flags == MEMFAIL_RESUME) flags |= memfail::shim::tell_remembered(*lane);
  return flags | static_cast<int>(lane->flags.exchange(0, std::memory_order_acq_rel));
}

int memfail_mmio_exit(memfail_lane* lane, std::uint64_t gpa, std::uint32_t /*len*/) {
  const BackingPage page = memfail::shim::backing_page(*lane->shim, gpa);
  if (page.size == 0 || lane->vcpu < 0) return MEMFAIL_NOT_MINE;
  auto* address = reinterpret_cast<void*>(page.hva);
  // Asks without touching: a load would take the signal here, in the VMM's own code.
  if (::madvise(address, decision::kPageSize, MADV_POPULATE_READ) == 0 || errno != EHWPOISON) {
    return MEMFAIL_NOT_MINE;
  }
  return memfail::shim::report_exit(*lane, memfail::wire::ReportKind::mmio_exit, page.hva, gpa);
}

int memfail_memory_fault_exit(memfail_lane* lane, std::uint64_t gpa, std::uint64_t /*size*/) {
  if (lane->vcpu < 0) return MEMFAIL_NOT_MINE;
  return memfail::shim::report_exit(*lane, memfail::wire::ReportKind::memory_fault_exit, 0, gpa);
}

int memfail_handed_back(memfail_lane* lane, siginfo_t* info) {
  if (lane->handed_back_count == 0) return 0;
  *info = lane->handed_back[0];
  --lane->handed_back_count;
  std::copy_n(lane->handed_back.begin() + 1, lane->handed_back_count, lane->handed_back.begin());
  return 1;
}

void memfail_vm_running(memfail_shim* shim, int running) {
  shim->running.store(running != 0 ? 1 : 0, std::memory_order_release);
  if (running == 0 || !shim->poison.has_to_tell()) return;
  shim->tell_wanted.store(1, std::memory_order_release);
  memfail::shim::wake_dispatch(*shim);
}
