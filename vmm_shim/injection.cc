// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/injection.h"

#include <algorithm>

#include "shm/reply_wait.h"
#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/qemu_injection.h"
#include "sidecar/decision/severity.h"
#include "sidecar/decision/vcpu_state.h"
#include "vmm_shim/handle.h"
#include "vmm_shim/regions.h"
#include "vmm_shim/snapshot.h"
#include "vmm_shim/verdict.h"

namespace memfail::shim {
namespace {

using wire::OperatorRefusal;

std::uint64_t banks_of(const memfail_shim& shim) {
  return std::min<std::uint64_t>(shim.profile.mcg_cap_kvm & decision::kMcgCapBanks,
                                 decision::kMaxBanks);
}

// HMP injects unconditionally (MCE_INJECT_UNCOND_AO): the branch for records without
// an AR bit is not taken.
decision::Judgement judge(const memfail_lane& lane, decision::MachineCheck record,
                          const wire::SnapshotLine& snapshot) {
  record.status |= decision::kStatusAr;
  return decision::qemu_injection(lane.shim->profile, record, snapshot);
}

// Whether the record's address is a guest physical one (SDM vol. 3, MCi_MISC: what an
// address is without MISC is the model's own business).
bool names_memory(const decision::MachineCheck& record) {
  constexpr std::uint64_t kBoth = decision::kStatusAddrv | decision::kStatusMiscv;
  constexpr std::uint64_t kPhysical = 2;
  return (record.status & kBoth) == kBoth && (record.misc >> 6 & 7) == kPhysical;
}

// In SMM CR4.MCE reads 0, and a nested guest's CR4 is its own: neither says whether
// this guest could take it, and QEMU's answer would be a reset.
bool is_unready(const decision::VcpuState& vcpu, const wire::SnapshotLine& snapshot) {
  return !vcpu.cr4_mce && (vcpu.in_smm || decision::in_nested_guest(snapshot));
}

wire::ReportLine report_of(const memfail_shim& shim, const decision::MachineCheck& record) {
  const bool required = (record.status & decision::kStatusAr) != 0;
  return {0,
          0,
          wire::ReportKind::injection,
          wire::ThreadKind::vcpu_in_run,
          0,
          0,
          0,
          0,
          shm::monotonic_ns(),
          required ? decision::kCodeActionRequired : decision::kCodeActionOptional,
          0,
          shim.regions.generation.load(std::memory_order_acquire),
          shim.guest_epoch.load(std::memory_order_acquire),
          0};
}

Choice choice_of(const OperatorRequest& request, const decision::Judgement& judgement) {
  decision::Decision decision;
  decision.verdict = judgement.verdict;
  decision.reason = judgement.verdict == wire::Verdict::inject ? wire::Reason::operator_request
                                                               : judgement.reason;
  decision.record = request.record;
  if (request.broadcast) decision.siblings = wire::SiblingRule::broadcast_qemu;
  return {decision, wire::DecidedBy::operator_request};
}

// Report, snapshot and, by close_case(), outcome: nobody is asked for a verdict.
void make_incident(memfail_lane& lane, const shm::Claim& claim, const wire::SnapshotLine& snapshot,
                   const Choice& choice) {
  memfail_shim& shim = *lane.shim;
  shim.cell(claim.id).handled.store(claim.n, std::memory_order_release);
  Case incident;
  incident.lane = &lane;
  incident.claim = claim;
  incident.report = report_of(shim, choice.decision.record);
  incident.severity = decision::severity_of(incident.report.kind(), incident.report.code());
  incident.where.address = decision::AddressClass::kNoAddress;
  incident.generation = incident.report.region_generation();
  incident.snapshot = snapshot;
  const shm::LineKey key = shim.key(claim.id.lane);
  shm::write_line(shim.request.line(claim.id, shm::LineKind::kReport), incident.report, key,
                  claim.n);
  shm::write_line(shim.request.line(claim.id, shm::LineKind::kSnapshot), snapshot, key, claim.n);
  const int flags = close_case(shim, incident, choice);
  if (flags == MEMFAIL_RESUME) return;
  // memfail_handle() on this thread returns it to the VMM.
  lane.flags.fetch_or(static_cast<std::uint32_t>(flags), std::memory_order_acq_rel);
  lane.pending.store(1, std::memory_order_release);
}

}  // namespace

OperatorAnswer check_injection(memfail_shim& shim, const OperatorRequest& request) {
  const decision::MachineCheck& record = request.record;
  if (shim.profile.mcg_cap_configured == 0 || banks_of(shim) == 0) {
    return refused(OperatorRefusal::no_mce);
  }
  if (record.bank >= banks_of(shim)) {
    return refused(OperatorRefusal::bank, record.bank, banks_of(shim) - 1);
  }
  if ((record.status & decision::kStatusVal) == 0) {
    return refused(OperatorRefusal::status, record.status);
  }
  if (request.broadcast && !decision::broadcasts(shim.profile)) {
    return refused(OperatorRefusal::no_broadcast, shim.profile.cpuid_1_eax);
  }
  if (names_memory(record) && !region_of_gpa(shim, record.address)) {
    return refused(OperatorRefusal::not_in_ram, record.address);
  }
  return {};
}

OperatorAnswer inject_here(memfail_lane& lane, const OperatorRequest& request) {
  const memfail_shim& shim = *lane.shim;
  const wire::SnapshotLine snapshot = take_snapshot(lane);
  const auto vcpu = decision::vcpu_state(shim.profile, snapshot, request.record.bank);
  if (!vcpu.started) return refused(OperatorRefusal::vcpu_not_started, request.vcpu);
  if (is_unready(vcpu, snapshot)) return refused(OperatorRefusal::vcpu_unready, request.vcpu);
  const decision::Judgement judgement = judge(lane, request.record, snapshot);
  if (judgement.verdict == wire::Verdict::none) {
    return refused(OperatorRefusal::no_snapshot, request.vcpu);
  }
  const auto claim =
      shm::claim_in_lane(shim.request, shim.reply, static_cast<std::uint32_t>(lane.vcpu));
  if (!claim) return refused(OperatorRefusal::lane_full, request.vcpu);
  make_incident(lane, *claim, snapshot, choice_of(request, judgement));
  return {OperatorRefusal::none, 0, 0, claim->id.lane, claim->n};
}

}  // namespace memfail::shim
