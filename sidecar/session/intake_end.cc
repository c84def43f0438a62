// SPDX-License-Identifier: BSD-3-Clause
//
// How incidents end: by their outcome, or because their VMM is gone; and what is told of
// them.
#include <algorithm>
#include <cstring>
#include <utility>

#include "shm/reply_wait.h"
#include "shm/step.h"
#include "sidecar/decision/classify.h"
#include "sidecar/session/incident_log.h"
#include "sidecar/session/intake.h"
#include "sidecar/session/line_check.h"

namespace memfail::session {
namespace {

using shm::LineKind;
using shm::LineState;
using wire::ErrorCode;

constexpr std::size_t kMaxPages = 512;

PageOutcome page_outcome(const PageReport& report, const journal::EventFields& fields) {
  return {report, fields.vcpu, fields.verdict, fields.reason, fields.delivered};
}

// Reads again only to compare: what was copied stays what counts.
template <typename Line>
bool same_line(const std::byte* at, const shm::LineKey& key, std::uint64_t n, const Line& copy) {
  Line now;
  return shm::read_line(at, key, n, now) == LineState::kCommitted &&
         std::memcmp(&now, &copy, sizeof copy) == 0;
}

KnownPage known_page(const wire::PoisonPage& page) {
  KnownPage known{page.hva(), page.gpa(), page.size(), page.told(), false, page.drill()};
  known.reports = page.reports();
  known.first_us = page.first_us();
  known.last_us = page.last_us();
  return known;
}

}  // namespace

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
  if (incident.evented) {
    retire(incident);
    return true;
  }
  locate(incident);  // a fallback's outcome may come before we ever looked
  MEMFAIL_STEP(outcome_taken);
  if (auto refusal = take_older(incident); refusal && !last_looks_) {
    return std::unexpected(*refusal);
  }
  if (!incident.has_snapshot) {
    if (const Step taken = take_snapshot(incident); !taken) return taken;
  }
  note_report(incident, outcome.verdict());
  journal::EventFields fields = outcome_event(vm_, incident, geometry_.vcpus(), outcome);
  counts_.late += fields.late ? 1 : 0;
  end(incident, fields);
  return true;
}

// Its event, or its record as one that a later event counts; then its cell is free.
void Intake::end(Incident& incident, journal::EventFields fields) {
  const PageOutcome ended = page_outcome(page_report(incident), fields);
  poison_.note_outcome(ended);
  const std::uint64_t now_ns = shm::monotonic_ns();
  const Admission admission = gate_.admit(ended, rules_, now_ns);
  announce_due(now_ns);  // what was held goes out first
  std::uint64_t seq = 0;
  if (admission.publish) {
    fields.count = event_count(admission.count);
    fields.folded = fields.count - 1;
    seq = publish(fields);
  } else {
    host_.records().append_folded(id_of(incident));
  }
  MEMFAIL_STEP(event_recorded);
  say_ended(incident, seq);
  retire(incident);
}

// What ended before `incident` is told before it. The pass may not have come to an older
// cell yet (a lane goes on in cell 0 after its last), or have looked a moment too early.
std::optional<Refusal> Intake::take_older(const Incident& incident) {
  for (Incident& other : cells_of(incident.id.lane)) {
    if (geometry_.next_in_cell(other.id, other.retired) >= incident.sequence) continue;
    if (const Step step = advance(other); !step) return step.error();
  }
  return std::nullopt;
}

bool Intake::unchanged(const Incident& incident) const {
  const shm::LineKey key = lane_key(incident.id.lane);
  return same_line(request_.line(incident.id, LineKind::kReport), key, incident.sequence,
                   incident.report) &&
         (!incident.has_snapshot || same_line(request_.line(incident.id, LineKind::kSnapshot), key,
                                              incident.sequence, incident.snapshot));
}

// ---- the poison table, and what has an event ----------------------------------------

void Intake::note_report(Incident& incident, wire::Verdict verdict) {
  if (std::exchange(incident.in_table, true)) return;
  const PageReport report = page_report(incident);
  const Instant now{host_.realtime_us(), shm::monotonic_ns()};
  const bool news = poison_.note_report(report, verdict, rules_, now);
  if (news) gate_.note_page(report.drill, rules_, now.monotonic_ns);
}

void Intake::announce_due(std::uint64_t now_ns) {
  while (const auto due = gate_.next_due(rules_, now_ns)) announce(*due);
}

void Intake::announce(const Announcement& announcement) {
  journal::EventFields fields = std::visit(
      [this](const auto& what) { return announced_event(vm_, what); }, announcement.what);
  fields.drill = announcement.drill;
  publish(fields);
}

std::optional<Refusal> Intake::take_pages(const wire::PoisonPages& message) {
  const auto& pages = *message.pages();
  if (pages.size() > kMaxPages) {
    return refuse_limit(ErrorCode::limit, "poison_pages.pages", pages.size(), kMaxPages);
  }
  std::vector<KnownPage> known;
  known.reserve(pages.size());
  for (const wire::PoisonPage* page : pages) {
    if (page->repair() > wire::Repair::MAX) {
      return refuse_limit(ErrorCode::malformed, "poison_page.repair",
                          static_cast<std::uint64_t>(page->repair()),
                          static_cast<std::uint64_t>(wire::Repair::MAX));
    }
    if (page->repair() != wire::Repair::none) take_repair(*page);
    if (page->repair() != wire::Repair::repaired) known.push_back(known_page(*page));
  }
  poison_.rebuild(known, message.epoch());
  return std::nullopt;
}

void Intake::take_repair(const wire::PoisonPage& page) {
  const bool repaired = page.repair() == wire::Repair::repaired;
  if (repaired) poison_.note_repaired(page.hva(), page.gpa(), page.size());
  publish(repair_event(vm_, page));
}

// Only once the event is recorded: from here on the cell may be claimed again.
void Intake::retire(Incident& incident) {
  shm::store_word(reply_.line(incident.id), wire::kReplyRetiredOffset, incident.sequence);
  MEMFAIL_STEP(incident_retired);
  incident.begin_next();
  ++lane_retired_[incident.id.lane];
}

std::uint64_t Intake::publish(const journal::EventFields& fields) {
  journal::EventFields dated = fields;
  dated.realtime_us = host_.realtime_us();
  const std::uint64_t seq = host_.records().append_event(dated);
  host_.event_appended();
  host_.log(incident_line(dated));
  return seq;
}

void Intake::say_ended(const Incident& incident, std::uint64_t seq) {
  const bool injection = incident.report.kind() == wire::ReportKind::injection;
  if (!injection && incident.report.drill() == 0) return;
  host_.ordered_incident_ended({vm_.session, incident.id.lane, incident.sequence, seq});
}

// What the VMM only counts: each growth is an event.
std::optional<Refusal> Intake::take_counters() {
  if (auto refusal = take_counter("lost_reports", request_.lost_reports(), counts_.lost,
                                  wire::Reason::lane_full)) {
    return refusal;
  }
  return take_counter("backing_store", request_.backing_store(), counts_.backing_store,
                      wire::Reason::backing_store);
}

std::optional<Refusal> Intake::take_counter(const char* field, std::uint64_t now,
                                            std::uint64_t& seen, wire::Reason reason) {
  if (now == seen) return std::nullopt;
  if (now < seen) return refuse_limit(ErrorCode::area, field, now, seen);
  publish(counted_event(vm_, reason, now - seen));
  seen = now;
  return std::nullopt;
}

// ---- the VMM is gone --------------------------------------------------------------

std::uint32_t Intake::open() const {
  return static_cast<std::uint32_t>(
      std::count_if(incidents_.begin(), incidents_.end(),
                    [](const Incident& one) { return one.phase != CellPhase::kFree; }));
}

// What is in the cells now, as far as it goes: a VMM that left may still write, and what it
// reports from here on is its own loss.
void Intake::pass_until_nothing_moves() {
  constexpr std::uint32_t kSteps = 4;  // of a cell: report, snapshot, outcome, retired
  for (std::size_t left = kSteps * incidents_.size(); left > 0;) {
    const auto moved = pass();
    if (!moved || *moved == 0) return;
    left -= std::min<std::size_t>(left, *moved);
  }
}

void Intake::take_last_look() {
  last_looks_ = true;
  pass_until_nothing_moves();
}

// What breaks the contract here is the last word of a process that died: told, and left.
void Intake::orphan_all() {
  draining_ = true;
  take_last_look();
  if (broken_) host_.log("VM '" + vm_.name + "' exited: " + broken_->text);
  for (std::uint32_t lane = 0; lane < geometry_.lanes(); ++lane) {
    while (Incident* const oldest = oldest_open(lane)) orphan(*oldest);
  }
  announce_due(kEndOfTime);
  if (const std::uint64_t half = count_half_written(); half != 0) {
    publish(counted_event(vm_, wire::Reason::half_written, half));
  }
}

// Of a lane; null: nothing is open in it.
Incident* Intake::oldest_open(std::uint32_t lane) {
  Incident* oldest = nullptr;
  for (Incident& incident : cells_of(lane)) {
    if (incident.phase == CellPhase::kFree) continue;
    if (oldest == nullptr || incident.sequence < oldest->sequence) oldest = &incident;
  }
  return oldest;
}

void Intake::orphan(Incident& incident) {
  if (incident.evented) return retire(incident);
  locate(incident);
  const auto recorded = host_.records().find_verdict(id_of(incident));
  if (recorded && incident.phase == CellPhase::kReported) {  // an earlier sidecar's word
    incident.reply = recorded->reply;
    incident.phase = CellPhase::kAnswered;
  }
  const std::uint64_t claim =
      shm::load_word(request_.line(incident.id, LineKind::kOutcome), wire::kOutcomeClaimOffset);
  const bool claimed = claim >> 16 == incident.sequence;
  say_ended(incident, publish(orphan_event(vm_, incident, geometry_.vcpus(), claimed)));
  retire(incident);
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
