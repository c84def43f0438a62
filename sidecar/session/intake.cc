// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/intake.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "shm/reply_wait.h"
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

decision::LookupRule rule_of(decision::Policy policy) {
  switch (policy) {
    case decision::Policy::kQemu:
      break;
  }
  return decision::LookupRule::kSlotOrder;
}

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
          0,
          static_cast<std::uint16_t>(record.misc),
          static_cast<std::uint32_t>(record.mcg_status),
          record.status,
          record.address,
          decision.gpa,
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
               const RegionHistory& regions, decision::Policy policy)
    : host_(host),
      vm_(vm),
      guest_(guest),
      regions_(regions),
      policy_(policy),
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

void Intake::repeat_answers() {
  for (Incident& incident : incidents_) {
    if (incident.phase == CellPhase::kAnswered) answer(incident);
  }
}

// ---- one pass ----------------------------------------------------------------

bool Intake::has_claims(std::uint32_t lane) const {
  return shm::load_word(request_.lane(lane), wire::kLaneNextOffset) > lane_retired_[lane];
}

std::expected<Intake::Pass, Refusal> Intake::pass(std::uint32_t budget) {
  std::uint32_t spent = 0;
  for (std::uint32_t i = 0; i < geometry_.lanes(); ++i) {
    const std::uint32_t lane = (cursor_ + i) % geometry_.lanes();
    if (!has_claims(lane)) continue;
    for (Incident& incident : cells_of(lane)) {
      const Step step = advance(incident);
      if (!step) return std::unexpected(step.error());
      spent += *step ? 1 : 0;
    }
    if (spent >= budget) {
      cursor_ = (lane + 1) % geometry_.lanes();
      return Pass::kBudgetSpent;
    }
  }
  if (auto refusal = count_lost()) return std::unexpected(*refusal);
  return spent == 0 ? Pass::kNothing : Pass::kProgress;
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
  if (!draining_) {
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
  ++counts_.incidents;
  return true;
}

void Intake::locate(Incident& incident) {
  if (incident.regions != nullptr) return;
  incident.regions = regions_.find(incident.report.region_generation());
  if (incident.regions == nullptr) return;
  incident.where = decision::classify(
      incident.regions->map(), decision::reported_address(incident.report), rule_of(policy_));
}

Intake::Step Intake::take_verdict(Incident& incident) {
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

// A verdict that is on record is given again, never computed again: the guest may
// have been told already.
void Intake::decide(Incident& incident) {
  const journal::IncidentId id{vm_.session, incident.id.lane, incident.sequence};
  if (const auto recorded = host_.records().find_verdict(id)) {
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
  incident.reply = reply_of(decision::decide(policy_, input));
  host_.records().append_verdict({id, incident.reply});
}

void Intake::answer(Incident& incident) {
  shm::write_line(reply_.line(incident.id), incident.reply, lane_key(incident.id.lane),
                  incident.sequence);
  shm::wake_waiter(request_, reply_, incident.id);  // fences first
  incident.phase = CellPhase::kAnswered;
}

// ---- the end of an incident ----------------------------------------------------

Intake::Step Intake::take_outcome(Incident& incident) {
  wire::OutcomeLine outcome;
  const std::byte* line = request_.line(incident.id, LineKind::kOutcome);
  switch (shm::read_line(line, lane_key(incident.id.lane), incident.sequence, outcome)) {
    case LineState::kOther:
      return false;
    case LineState::kCorrupt:
      return std::unexpected(broken(incident, "outcome", "fails its CRC"));
    case LineState::kCommitted:
      break;
  }
  if (const char* field = check_outcome(outcome, geometry_.vcpus())) {
    return std::unexpected(broken(incident, field, "is out of range"));
  }
  if (!unchanged(incident)) {
    return std::unexpected(broken(incident, "a committed line", "changed before it was retired"));
  }
  locate(incident);  // a fallback's outcome may come before we ever looked
  const journal::EventFields fields = outcome_event(vm_, incident, geometry_.vcpus(), outcome);
  counts_.late += fields.late ? 1 : 0;
  publish(fields);
  retire(incident);
  return true;
}

namespace {

// Reads again only to compare: what was copied stays what counts.
template <typename Line>
bool same_line(const std::byte* at, const shm::LineKey& key, std::uint64_t n, const Line& copy) {
  Line now;
  return shm::read_line(at, key, n, now) == LineState::kCommitted &&
         std::memcmp(&now, &copy, sizeof copy) == 0;
}

}  // namespace

bool Intake::unchanged(const Incident& incident) const {
  const shm::LineKey key = lane_key(incident.id.lane);
  return same_line(request_.line(incident.id, LineKind::kReport), key, incident.sequence,
                   incident.report) &&
         (!incident.has_snapshot || same_line(request_.line(incident.id, LineKind::kSnapshot), key,
                                              incident.sequence, incident.snapshot));
}

// Only once the event is recorded: from here on the cell may be claimed again.
void Intake::retire(Incident& incident) {
  shm::store_word(reply_.line(incident.id), wire::kReplyRetiredOffset, incident.sequence);
  incident.begin_next();
  ++lane_retired_[incident.id.lane];
}

void Intake::publish(const journal::EventFields& fields) {
  journal::EventFields dated = fields;
  dated.realtime_us = host_.realtime_us();
  host_.records().append_event(dated);
  host_.event_appended();
  host_.log(incident_line(dated));
}

std::optional<Refusal> Intake::count_lost() {
  const std::uint64_t lost = request_.lost_reports();
  if (lost == counts_.lost) return std::nullopt;
  if (lost < counts_.lost) {
    return refuse_limit(ErrorCode::area, "lost_reports", lost, counts_.lost);
  }
  publish(counted_event(vm_, wire::Reason::lane_full, lost - counts_.lost));
  counts_.lost = lost;
  return std::nullopt;
}

// ---- the VMM is gone --------------------------------------------------------------

std::uint32_t Intake::open() const {
  return static_cast<std::uint32_t>(
      std::count_if(incidents_.begin(), incidents_.end(),
                    [](const Incident& one) { return one.phase != CellPhase::kFree; }));
}

// Nobody writes any more, so this ends. What breaks the contract here is the last
// word of a process that died: told, and left.
void Intake::orphan_all() {
  draining_ = true;
  for (;;) {
    const auto drained = pass();
    if (!drained) host_.log("VM '" + vm_.name + "' exited: " + drained.error().text);
    if (!drained || *drained == Pass::kNothing) break;
  }
  for (Incident& incident : incidents_) {
    if (incident.phase == CellPhase::kFree) continue;
    locate(incident);
    const std::uint64_t claim =
        shm::load_word(request_.line(incident.id, LineKind::kOutcome), wire::kOutcomeClaimOffset);
    const bool claimed = claim >> 16 == incident.sequence;
    publish(orphan_event(vm_, incident, geometry_.vcpus(), claimed));
    retire(incident);
  }
  if (const std::uint64_t half = count_half_written(); half != 0) {
    publish(counted_event(vm_, wire::Reason::half_written, half));
  }
}

// Claims that never became a report. The peer's word is bounded by what a lane
// can hold.
std::uint64_t Intake::count_half_written() const {
  std::uint64_t half = 0;
  for (std::uint32_t lane = 0; lane < geometry_.lanes(); ++lane) {
    const std::uint64_t next = shm::load_word(request_.lane(lane), wire::kLaneNextOffset);
    if (next <= lane_retired_[lane]) continue;
    half += std::min<std::uint64_t>(next - lane_retired_[lane], geometry_.cells(lane));
  }
  return half;
}

}  // namespace memfail::session
