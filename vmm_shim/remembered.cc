// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/remembered.h"

#include "shm/reply_wait.h"
#include "sidecar/decision/severity.h"
#include "vmm_shim/handle.h"
#include "vmm_shim/regions.h"
#include "vmm_shim/snapshot.h"
#include "vmm_shim/verdict.h"

namespace memfail::shim {
namespace {

bool is_running(const memfail_shim& shim) {
  return shim.running.load(std::memory_order_acquire) != 0;
}

wire::ReportLine report_of(const memfail_shim& shim, std::uint64_t hva, bool drill = false) {
  return {0,
          0,
          wire::ReportKind::remembered,
          wire::ThreadKind::vcpu_in_run,
          0,
          static_cast<std::uint8_t>(drill ? 1 : 0),
          hva,
          0,
          shm::monotonic_ns(),
          decision::kCodeActionOptional,
          0,
          shim.regions.generation.load(std::memory_order_acquire),
          shim.guest_epoch.load(std::memory_order_acquire),
          0};
}

// Whether this side would tell the guest now: the sidecar is not asked about, and no
// event says, what nothing has changed about.
bool is_ready(memfail_shim& shim, Case& incident, const PoisonedPage& page) {
  incident.report = report_of(shim, page.hva, page.drill);
  incident.severity = decision::Severity::kActionOptional;
  incident.where = locate(shim, incident.report);
  const wire::Verdict verdict = decide_here(shim, incident).verdict;
  return verdict == wire::Verdict::inject || verdict == wire::Verdict::inject_deferred;
}

// The posted function, on a vCPU's thread.
void tell_here(void* argument) {
  auto& lane = *static_cast<memfail_lane*>(argument);
  const int flags = tell_remembered(lane);
  if (flags == MEMFAIL_RESUME) return;
  lane.flags.fetch_or(static_cast<std::uint32_t>(flags), std::memory_order_acq_rel);
  lane.pending.store(1, std::memory_order_release);
}

}  // namespace

int tell_remembered(memfail_lane& lane) {
  memfail_shim& shim = *lane.shim;
  if (!shim.poison.has_to_tell() || !is_running(shim)) return MEMFAIL_RESUME;
  Case probe;
  probe.lane = &lane;
  probe.snapshot = take_snapshot(lane);
  PoisonedPage page;
  for (std::uint32_t cursor = 0; shim.poison.next_to_tell(cursor, page);) {
    if (!is_ready(shim, probe, page)) continue;
    const auto claim =
        shm::claim_in_lane(shim.request, shim.reply, static_cast<std::uint32_t>(lane.vcpu));
    if (!claim) return MEMFAIL_RESUME;  // at the next occasion
    shm::write_line(shim.request.line(claim->id, shm::LineKind::kReport), probe.report,
                    shim.key(claim->id.lane), claim->n);
    return handle_report(lane, *claim);
  }
  return MEMFAIL_RESUME;
}

void note_met_outside(memfail_shim& shim) {
  for (auto& place : shim.met_outside) {
    const std::uint64_t hva = place.exchange(0, std::memory_order_acq_rel);
    if (hva == 0) continue;
    const wire::ReportLine report = report_of(shim, hva);
    const decision::Classification where = locate(shim, report);
    shim.poison.note_report(where,
                            {decision::Severity::kActionOptional, false, report.entered_ns()}, 0);
    shim.poison.note_to_tell(where, true);
    const memfail_config& config = shim.config;
    if (config.ops.poisoned != nullptr && where.address == decision::AddressClass::kGuestRam) {
      config.ops.poisoned(config.opaque, where.hva, where.gpa, where.lost_size);
    }
    shim.tell_wanted.store(1, std::memory_order_release);
  }
}

void post_remembered(memfail_shim& shim) {
  if (shim.tell_wanted.exchange(0, std::memory_order_acq_rel) == 0) return;
  if (!shim.poison.has_to_tell() || !is_running(shim)) return;
  const memfail_config& config = shim.config;
  for (std::uint32_t vcpu = 0; vcpu < shim.geometry.vcpus(); ++vcpu) {
    memfail_lane& lane = shim.lanes[vcpu];
    if (lane.present.load(std::memory_order_acquire) == 0) continue;
    if (config.ops.post(config.opaque, vcpu, tell_here, &lane) == 0) return;
  }
}

}  // namespace memfail::shim
