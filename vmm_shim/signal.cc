// SPDX-License-Identifier: BSD-3-Clause
//
// The signal entry: everything here is async-signal-safe. It claims a cell, writes
// the report, kicks, and returns; only where the failed access cannot be gone on
// with does it wait, until the sidecar has the incident on record, and ends the VMM.
#include "vmm_shim/signal.h"

#include <cstring>

#include "shm/raw_syscall.h"
#include "shm/reply_wait.h"
#include "shm/step.h"
#include "sidecar/decision/severity.h"
#include "vmm_shim/drill.h"
#include "vmm_shim/incident.h"
#include "vmm_shim/kvm.h"
#include "vmm_shim/outcome.h"
#include "vmm_shim/wake.h"

namespace memfail::shim {
namespace {

using decision::Severity;

wire::ThreadKind thread_kind(const memfail_lane& lane) {
  if (lane.vcpu < 0) return wire::ThreadKind::other;
  return lane.in_run.load(std::memory_order_relaxed) != 0 ? wire::ThreadKind::vcpu_in_run
                                                          : wire::ThreadKind::vcpu_outside;
}

std::uint32_t own_tid() { return static_cast<std::uint32_t>(shm::raw_syscall(SYS_gettid)); }

// What the handler knows of a signal before it looks at it.
struct Entry {
  std::uint64_t ns = 0;
  wire::ThreadKind thread = wire::ThreadKind::none;
  bool drill = false;
};

wire::ReportLine make_report(const memfail_lane& lane, const siginfo_t& info, const Entry& entry) {
  const memfail_shim& shim = *lane.shim;
  const bool has_address = info.si_code != decision::kCodeKernel;
  return {0,
          0,
          wire::ReportKind::sigbus,
          entry.thread,
          static_cast<std::uint8_t>(has_address ? info.si_addr_lsb : 0),
          static_cast<std::uint8_t>(entry.drill ? 1 : 0),
          has_address ? reinterpret_cast<std::uintptr_t>(info.si_addr) : 0,
          0,
          entry.ns,
          info.si_code,
          own_tid(),
          shim.regions.generation.load(std::memory_order_acquire),
          shim.guest_epoch.load(std::memory_order_acquire),
          0};
}

std::optional<shm::Claim> claim_cell(const memfail_lane& lane) {
  const memfail_shim& shim = *lane.shim;
  if (lane.vcpu >= 0) {
    return shm::claim_in_lane(shim.request, shim.reply, static_cast<std::uint32_t>(lane.vcpu));
  }
  return shm::claim_slot(shim.request, shim.reply, shim.pid, own_tid());
}

void stop_the_guest(memfail_lane& lane) {
  lane.pending.store(1, std::memory_order_relaxed);
  if (lane.in_run.load(std::memory_order_relaxed) != 0) {
    lane.run->immediate_exit = 1;
    lane.set_immediate_exit = true;
  }
}

void complain(const char* line) {
  shm::raw_syscall(SYS_write, 2, shm::as_argument(line), static_cast<long>(std::strlen(line)));
}

// Whether the access can be left, and the policy wants that rather than the end.
bool may_pause(const memfail_shim& shim, const Answer& answer) {
  const memfail_config& config = shim.config;
  if (config.ops.guarded == nullptr || config.ops.guarded(config.opaque) == 0) return false;
  const auto verdict =
      answer.replied ? answer.reply.verdict() : shim.outside_rule.load(std::memory_order_relaxed);
  return verdict == wire::Verdict::pause;
}

// The list of broken pages has a lock: dispatch enters what a handler met.
void remember_for_dispatch(memfail_shim& shim, const wire::ReportLine& report) {
  for (auto& place : shim.met_outside) {
    std::uint64_t empty = 0;
    if (place.compare_exchange_strong(empty, report.hva(), std::memory_order_acq_rel)) {
      return wake_dispatch(shim);
    }
  }
  shim.poison.note_left_out();
}

// Waits until the sidecar has the report on record (or cannot), then writes the
// outcome and ends the VMM: returning would repeat the access for ever.
int leave_access(memfail_lane& lane, const wire::ReportLine& report, const shm::Claim& claim) {
  memfail_shim& shim = *lane.shim;
  const auto answer = ask_on_record(shim, claim, report.entered_ns() + shim.deadline_ns);
  const bool pause = may_pause(shim, answer);
  const wire::OutcomeLine outcome = outside_outcome(shim, report, answer, pause);
  if (claim_outcome(shim, claim, outcome)) commit_outcome(shim, claim, outcome);
  if (pause) {
    remember_for_dispatch(shim, report);
    return MEMFAIL_SIGBUS_PAUSE;
  }
  const memfail_incident incident = incident_of(report, outcome, 0);
  shim.config.ops.abort(shim.config.opaque, &incident);
  return MEMFAIL_SIGBUS_MUST_NOT_RETURN;
}

int no_cell(memfail_lane& lane, const siginfo_t& info, Severity severity, wire::ThreadKind kind) {
  memfail_shim& shim = *lane.shim;
  shm::count_lost_report(shim.request);
  shm::ring(shim.reply, shim.session.kick.get());
  if (severity == Severity::kActionRequired && kind != wire::ThreadKind::vcpu_in_run) {
    complain("memfail: memory failure in the VMM and no cell free to report it: aborting\n");
    shim.config.ops.abort(shim.config.opaque, nullptr);
    return MEMFAIL_SIGBUS_MUST_NOT_RETURN;
  }
  if (lane.vcpu >= 0 && lane.overflow.waiting.exchange(1, std::memory_order_relaxed) == 0) {
    lane.overflow.info = info;
    stop_the_guest(lane);
  }
  return MEMFAIL_SIGBUS_TAKEN;
}

// A truncated file, an empty pool of huge pages: never a machine check, but somebody
// should know.
void count_backing_store(memfail_shim& shim) {
  shm::count_backing_store(shim.request);
  shm::ring(shim.reply, shim.session.kick.get());
}

void commit_report(const memfail_lane& lane, const wire::ReportLine& report,
                   const shm::Claim& claim) {
  const memfail_shim& shim = *lane.shim;
  shm::write_line(shim.request.line(claim.id, shm::LineKind::kReport), report,
                  shim.key(claim.id.lane), claim.n);
}

// As if the guest's access had met the page. One that finds no cell, or whose handler
// has another thread's lane, is given up: who asked for it is told.
int take_drill(memfail_lane& lane, const siginfo_t& info) {
  DrillSignal& drill = lane.shim->drill;
  const Entry entry{shm::monotonic_ns(), wire::ThreadKind::vcpu_in_run, true};
  drill.seen = DrillSignal::Seen::kWrongLane;
  if (lane.vcpu != drill.vcpu) return MEMFAIL_SIGBUS_TAKEN;
  drill.seen = DrillSignal::Seen::kNoCell;
  const auto claim = claim_cell(lane);
  if (!claim) return MEMFAIL_SIGBUS_TAKEN;
  lane.shim->reports.fetch_add(1, std::memory_order_relaxed);
  commit_report(lane, make_report(lane, info, entry), *claim);
  drill.seen = DrillSignal::Seen::kReported;
  drill.sequence = claim->n;
  stop_the_guest(lane);
  return MEMFAIL_SIGBUS_TAKEN;
}

int take(memfail_lane& lane, const siginfo_t& info, Severity severity) {
  memfail_shim& shim = *lane.shim;
  if (is_drill(shim, info)) return take_drill(lane, info);
  const Entry entry{shm::monotonic_ns(), thread_kind(lane), false};
  shim.reports.fetch_add(1, std::memory_order_relaxed);
  const auto claim = claim_cell(lane);
  if (!claim) return no_cell(lane, info, severity, entry.thread);
  MEMFAIL_STEP(cell_claimed);
  const wire::ReportLine report = make_report(lane, info, entry);
  commit_report(lane, report, *claim);
  MEMFAIL_STEP(report_committed);
  if (severity == Severity::kActionRequired && entry.thread != wire::ThreadKind::vcpu_in_run) {
    shm::ring(shim.reply, shim.session.kick.get());
    return leave_access(lane, report, *claim);
  }
  // No kick for the others: the sidecar can do nothing before the snapshot, whose
  // commit kicks. Two kicks for one answer cost a second wake-up of both sides.
  if (lane.vcpu >= 0) {
    stop_the_guest(lane);
  } else {
    wake_dispatch(shim);
  }
  return MEMFAIL_SIGBUS_TAKEN;
}

}  // namespace
}  // namespace memfail::shim

int memfail_sigbus(memfail_lane* lane, const siginfo_t* info, void* /*ucontext*/) {
  using memfail::decision::Severity;
  if (lane == nullptr || info == nullptr) return MEMFAIL_SIGBUS_NOT_MINE;
  const Severity severity = memfail::decision::severity_of_code(info->si_code);
  if (memfail::shim::in_forked_child(*lane->shim)) return MEMFAIL_SIGBUS_NOT_MINE;
  if (severity == Severity::kNone) {
    if (info->si_code == BUS_ADRERR) memfail::shim::count_backing_store(*lane->shim);
    return MEMFAIL_SIGBUS_NOT_MINE;
  }
  return memfail::shim::take(*lane, *info, severity);
}
