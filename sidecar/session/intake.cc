// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/intake.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "shm/reply_wait.h"
#include "shm/step.h"
#include "sidecar/decision/classify.h"
#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/severity.h"
#include "sidecar/session/incident_log.h"
#include "sidecar/session/line_check.h"

namespace memfail::session {
namespace {

using shm::LineKind;
using shm::LineState;
using wire::ErrorCode;

// `word`, `crc` and `retired` are not the decision's.
wire::ReplyLine reply_of(const decision::Decision& decision) {
  const decision::MachineCheck& record = decision.record;
  return {0,
          0,
          decision.verdict,
          decision.reason,
          decision.siblings,
          record.bank,
          static_cast<std::uint8_t>(wire::ReplyFlag::journaled),
          decision.otherwise,
          static_cast<std::uint16_t>(record.misc),
          static_cast<std::uint32_t>(record.mcg_status),
          record.status,
          record.address,
          decision.gpa,
          0,
          0};
}

wire::ReplyLine without_flags(const wire::ReplyLine& reply) {
  return {0,
          0,
          reply.verdict(),
          reply.reason(),
          reply.sibling_rule(),
          reply.bank(),
          0,
          reply.otherwise(),
          reply.misc(),
          reply.mcg_status(),
          reply.status(),
          reply.address(),
          reply.gpa(),
          0,
          0};
}

// How many incidents of a lane are done with, where its cell `cell` has retired
// up to `retired`: this cell's share.
std::uint64_t share(std::uint64_t retired, std::uint32_t cells) {
  return retired == 0 ? 0 : (retired - 1) / cells + 1;
}

}  // namespace

Intake::Intake(Host& host, const VmLabel& vm, const decision::GuestProfile& guest,
               const RegionHistory& regions, const decision::Rules& rules)
    : host_(host),
      vm_(vm),
      guest_(guest),
      regions_(regions),
      rules_(rules),
      geometry_(guest.vcpus),
      incidents_(geometry_.total_cells()),
      lane_retired_(geometry_.lanes()) {
  for (std::uint32_t lane = 0; lane < geometry_.lanes(); ++lane) {
    for (std::uint32_t cell = 0; cell < geometry_.cells(lane); ++cell) {
      incidents_[geometry_.cell_index({lane, cell})].id = {lane, cell};
    }
  }
}

std::span<Incident> Intake::cells_of(std::uint32_t lane) {
  return std::span(incidents_).subspan(geometry_.cell_index({lane, 0}), geometry_.cells(lane));
}

shm::LineKey Intake::lane_key(std::uint32_t lane) const {
  return {vm_.session.low(), vm_.session.high(), lane};
}

Refusal Intake::broken(const Incident& incident, const char* field, const char* what) const {
  return refuse(ErrorCode::area, field,
                std::string("lane ") + std::to_string(incident.id.lane) + " sequence " +
                    std::to_string(incident.sequence) + ": " + field + " " + what);
}

// ---- attach ----------------------------------------------------------------

std::optional<Refusal> Intake::attach(shm::RequestView request, shm::ReplyView reply) {
  request_ = request;
  reply_ = reply;
  std::fill(lane_retired_.begin(), lane_retired_.end(), 0);
  for (Incident& incident : incidents_) {
    if (auto refusal = resume_cell(incident)) return refusal;
    lane_retired_[incident.id.lane] += share(incident.retired, geometry_.cells(incident.id.lane));
  }
  return std::nullopt;
}

// retired := freed, where the shim knows more than we do: another sidecar was
// here. Where it knows less, our own word is repeated.
std::optional<Refusal> Intake::resume_cell(Incident& incident) {
  const std::uint32_t cells = geometry_.cells(incident.id.lane);
  const std::uint64_t freed = request_.freed(incident.id);
  if (freed != 0 && (freed - 1) % cells != incident.id.cell) {
    return refuse_limit(ErrorCode::area, "freed word", freed, cells);
  }
  if (freed > incident.retired) {
    incident.sequence = freed;
    incident.begin_next();
  }
  shm::store_word(reply_.line(incident.id), wire::kReplyRetiredOffset, incident.retired);
  return std::nullopt;
}

void Intake::tell_leftovers() {
  const auto& sessions = host_.records().state().sessions();
  const auto found = sessions.find(vm_.session);
  if (found == sessions.end()) return;
  counts_.lost = found->second.lost_reports;
  counts_.backing_store = found->second.backing_store;
  if (found->second.folded == 0) return;
  journal::EventFields fields = counted_event(vm_, wire::Reason::repeats, found->second.folded);
  fields.folded = fields.count;
  publish(fields);
}

void Intake::repeat_answers() {
  for (Incident& incident : incidents_) {
    if (incident.phase == CellPhase::kAnswered) answer(incident);
  }
}

// ---- one pass ----------------------------------------------------------------

bool Intake::has_claims(std::uint32_t lane) const {
  return shm::load_word(request_.lane(lane), wire::kLaneNextOffset) > lane_retired_[lane];
}

std::expected<std::uint32_t, Refusal> Intake::pass(std::uint32_t budget) {
  std::uint32_t spent = 0;
  for (std::uint32_t i = 0; i < geometry_.lanes(); ++i) {
    const std::uint32_t lane = (cursor_ + i) % geometry_.lanes();
    if (!has_claims(lane)) continue;
    for (Incident& incident : cells_of(lane)) {
      const Step step = advance(incident);
      if (!step && !last_looks_) return std::unexpected(step.error());
      if (!step && !broken_) broken_ = step.error();
      spent += step && *step ? 1 : 0;
    }
    if (spent >= budget) {
      cursor_ = (lane + 1) % geometry_.lanes();
      return spent;
    }
  }
  if (auto refusal = take_counters(); refusal && !last_looks_) return std::unexpected(*refusal);
  if (spent != 0) announce_due(shm::monotonic_ns());
  return spent;
}

// As far as one cell goes for now.
Intake::Step Intake::advance(Incident& incident) {
  bool any = false;
  const auto take = [&](CellPhase when, Step (Intake::*step)(Incident&)) -> Step {
    if (incident.phase != when) return true;
    const Step result = (this->*step)(incident);
    any = any || (result && *result);
    return result;
  };
  // The outcome before the verdict: one that is there needs no verdict any more.
  if (auto step = take(CellPhase::kFree, &Intake::take_report); !step) return step;
  if (auto step = take(CellPhase::kReported, &Intake::take_outcome); !step) return step;
  if (!draining_ && !incident.evented) {
    if (auto step = take(CellPhase::kReported, &Intake::take_verdict); !step) return step;
  }
  if (auto step = take(CellPhase::kAnswered, &Intake::take_outcome); !step) return step;
  return any;
}

Intake::Step Intake::take_report(Incident& incident) {
  incident.sequence = geometry_.next_in_cell(incident.id, incident.retired);
  const std::byte* line = request_.line(incident.id, LineKind::kReport);
  switch (shm::read_line(line, lane_key(incident.id.lane), incident.sequence, incident.report)) {
    case LineState::kOther:
      return false;
    case LineState::kCorrupt:
      return std::unexpected(broken(incident, "report", "fails its CRC"));
    case LineState::kCommitted:
      break;
  }
  if (const char* field = check_report(incident.report, !geometry_.is_slot(incident.id.lane))) {
    return std::unexpected(broken(incident, field, "is out of range"));
  }
  incident.severity = decision::severity_of(incident.report.kind(), incident.report.code());
  incident.phase = CellPhase::kReported;
  incident.evented = host_.records().has_event(id_of(incident));
  ++counts_.incidents;
  MEMFAIL_STEP(report_taken);
  return true;
}

void Intake::locate(Incident& incident) {
  if (incident.regions != nullptr) return;
  incident.regions = regions_.find(incident.report.region_generation());
  if (incident.regions == nullptr) return;
  incident.where =
      decision::classify(incident.regions->map(), decision::reported_address(incident.report),
                         decision::lookup_rule(rules_.policy));
}

Intake::Step Intake::take_verdict(Incident& incident) {
  if (incident.report.kind() == wire::ReportKind::injection) return false;  // decided already
  locate(incident);
  if (incident.regions == nullptr) return false;  // its generation's commit is on its way
  const wire::ReportLine& report = incident.report;
  if (!incident.has_snapshot &&
      decision::needs_snapshot(report.kind(), report.thread(), incident.severity)) {
    const Step taken = take_snapshot(incident);
    if (!taken || !*taken) return taken;
  }
  decide(incident);
  answer(incident);
  note_report(incident, incident.reply.verdict());
  return true;
}

Intake::Step Intake::take_snapshot(Incident& incident) {
  const std::byte* line = request_.line(incident.id, LineKind::kSnapshot);
  switch (shm::read_line(line, lane_key(incident.id.lane), incident.sequence, incident.snapshot)) {
    case LineState::kOther:
      return false;
    case LineState::kCorrupt:
      return std::unexpected(broken(incident, "snapshot", "fails its CRC"));
    case LineState::kCommitted:
      break;
  }
  if (const char* field = check_snapshot(incident.snapshot, geometry_.vcpus())) {
    return std::unexpected(broken(incident, field, "is out of range"));
  }
  incident.has_snapshot = true;
  return true;
}

journal::IncidentId Intake::id_of(const Incident& incident) const {
  return {vm_.session, incident.id.lane, incident.sequence};
}

PageReport Intake::page_report(const Incident& incident) const {
  const std::uint32_t lane = incident.id.lane;
  const bool vcpus = lane < geometry_.vcpus();
  return {incident.where, incident.severity, incident.report.guest_epoch(),
          incident.report.drill() != 0, vcpus ? static_cast<std::int32_t>(lane) : -1};
}

// A verdict that is on record is given again, never computed again: the guest may
// have been told already.
void Intake::decide(Incident& incident) {
  if (const auto recorded = host_.records().find_verdict(id_of(incident))) {
    incident.reply = recorded->reply;
    return;
  }
  decision::Input input;
  input.guest = guest_;
  input.where = incident.where;
  input.severity = incident.severity;
  input.kind = incident.report.kind();
  input.thread = incident.report.thread();
  input.snapshot = incident.snapshot;
  input.history = poison_.history(page_report(incident), rules_, shm::monotonic_ns());
  incident.reply = reply_of(decision::decide(rules_, input));
  MEMFAIL_STEP(verdict_decided);
  promise(incident);
  MEMFAIL_STEP(verdict_recorded);
}

// Without room for it the verdict is given all the same, and says that it is not on
// record: who must not go on before it is waits for its deadline.
void Intake::promise(Incident& incident) {
  const std::uint32_t lane = incident.id.lane;
  const bool recorded = host_.records().append_verdict(
      {.id = id_of(incident),
       .reply = incident.reply,
       .report = incident.report,
       .hva = incident.where.hva,
       .gpa = incident.where.gpa,
       .size = incident.where.lost_size,
       .vcpu = lane < geometry_.vcpus() ? static_cast<std::int32_t>(lane) : -1,
       .realtime_us = host_.realtime_us(),
       .mcip = met_mcip(incident)});
  if (!recorded) incident.reply = without_flags(incident.reply);
}

void Intake::answer(Incident& incident) {
  shm::write_line(reply_.line(incident.id), incident.reply, lane_key(incident.id.lane),
                  incident.sequence);
  MEMFAIL_STEP(reply_committed);
  shm::wake_waiter(request_, reply_, incident.id);  // fences first
  incident.phase = CellPhase::kAnswered;
}

}  // namespace memfail::session
