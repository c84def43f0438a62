// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/incident_event.h"

#include <algorithm>
#include <limits>

#include "sidecar/decision/event_shape.h"
#include "sidecar/decision/machine_check.h"

namespace memfail::session {
namespace {

using journal::EventFields;

EventFields labelled(const VmLabel& vm) {
  EventFields out;
  out.session = vm.session;
  out.vm_uuid = vm.uuid;
  out.vm_name = vm.name;
  return out;
}

void add_shape(EventFields& out, decision::Severity severity, bool mcip = false) {
  const decision::EventShape shape =
      decision::event_shape(out.verdict, out.reason, out.delivered, severity, mcip);
  out.recipient = shape.recipient;
  out.action = shape.action;
  out.action_required = shape.action_required;
  out.recursive = shape.recursive;
}

// How it began. An incident without regions was reported under a generation that
// never came: its address means nothing.
EventFields reported(const VmLabel& vm, const Incident& incident, std::uint32_t vcpus) {
  EventFields out = labelled(vm);
  out.lane = incident.id.lane;
  out.sequence = incident.sequence;
  out.kind = incident.report.kind();
  out.thread = incident.report.thread();
  out.si_code = incident.report.code();
  out.lsb = incident.report.lsb();
  out.drill = incident.report.drill() != 0;
  if (incident.id.lane < vcpus) out.vcpu = static_cast<std::int32_t>(incident.id.lane);
  if (incident.regions == nullptr) return out;
  out.hva = incident.where.hva;
  out.gpa = incident.where.gpa;
  out.size = incident.where.lost_size;
  if (incident.where.region < incident.regions->map().size()) {
    out.region = incident.regions->name(incident.where.region);
  }
  return out;
}

}  // namespace

bool met_mcip(const Incident& incident) {
  return incident.has_snapshot && (incident.snapshot.mcg_status() & decision::kMcgStatusMcip) != 0;
}

EventFields outcome_event(const VmLabel& vm, const Incident& incident, std::uint32_t vcpus,
                          const wire::OutcomeLine& outcome) {
  EventFields out = reported(vm, incident, vcpus);
  out.verdict = outcome.verdict();
  out.decided_by = outcome.decided_by();
  out.delivered = outcome.delivered();
  out.reason = outcome.reason();
  out.late = outcome.late() != 0 || (incident.phase == CellPhase::kAnswered &&
                                     outcome.decided_by() != wire::DecidedBy::sidecar);
  if (outcome.bank() != wire::kNoBank) {
    out.bank = outcome.bank();
    out.status = outcome.status();
    out.mcg_status = outcome.mcg_status();
  }
  // A vCPU's lane says whose it is; only a slot's incident was carried by another.
  if (incident.id.lane >= vcpus && outcome.vcpu() != wire::kNoVcpu) out.vcpu = outcome.vcpu();
  // The reset of a sibling is told as this incident's: the text names the sibling.
  out.reason_vcpu = outcome.vcpu() != wire::kNoVcpu ? outcome.vcpu() : out.vcpu;
  if (outcome.gpa() != wire::kNoAddress) out.gpa = outcome.gpa();
  out.siblings_told = outcome.siblings_told();
  out.siblings_skipped = outcome.siblings_skipped();
  out.latency_ns = outcome.latency_ns();
  add_shape(out, incident.severity, met_mcip(incident));
  return out;
}

EventFields orphan_event(const VmLabel& vm, const Incident& incident, std::uint32_t vcpus,
                         bool claimed) {
  EventFields out = reported(vm, incident, vcpus);
  out.reason = wire::Reason::vmm_exited;
  out.reason_vcpu = out.vcpu;
  if (incident.phase == CellPhase::kAnswered) {
    out.verdict = incident.reply.verdict();
    out.decided_by = wire::DecidedBy::sidecar;
  }
  out.delivered = claimed ? wire::Delivered::unknown : wire::Delivered::none;
  add_shape(out, incident.severity);
  return out;
}

EventFields counted_event(const VmLabel& vm, wire::Reason reason, std::uint64_t count) {
  EventFields out = labelled(vm);
  out.reason = reason;
  out.count = event_count(count);
  add_shape(out, decision::Severity::kNone);
  return out;
}

EventFields announced_event(const VmLabel& vm, const StormBegan& storm) {
  return counted_event(vm, wire::Reason::storm, storm.pages);
}

EventFields announced_event(const VmLabel& vm, const StormOver& storm) {
  EventFields out = counted_event(vm, wire::Reason::repeats, storm.suppressed);
  out.folded = out.count;
  return out;
}

EventFields announced_event(const VmLabel& vm, const Repeats& repeats) {
  const PageOutcome& last = repeats.outcome;
  EventFields out = labelled(vm);
  out.vcpu = last.vcpu;
  out.reason_vcpu = last.vcpu;
  out.hva = last.report.where.hva;
  out.gpa = last.report.where.gpa;
  out.size = last.report.where.lost_size;
  out.verdict = last.verdict;
  out.delivered = last.delivered;
  out.reason = last.reason;
  out.count = event_count(repeats.count);
  out.folded = out.count;
  add_shape(out, last.report.severity);
  return out;
}

EventFields repair_event(const VmLabel& vm, const wire::PoisonPage& page) {
  EventFields out = labelled(vm);
  out.hva = page.hva();
  out.gpa = page.gpa();
  out.size = page.size();
  out.drill = page.drill();
  const bool repaired = page.repair() == wire::Repair::repaired;
  out.reason = repaired ? wire::Reason::repaired : wire::Reason::not_repaired;
  out.repair = page.repair();
  if (page.drill()) {  // there was nothing to replace
    out.reason = wire::Reason::drill_over;
    out.repair = wire::Repair::none;
  }
  add_shape(out, decision::Severity::kNone);
  return out;
}

std::uint32_t event_count(std::uint64_t count) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(count, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace memfail::session
