// SPDX-License-Identifier: BSD-3-Clause
//
// A session's incidents: found by scanning the request area, decided, answered,
// published from their outcome, retired.
//
// Theory of operation. A pass looks at every lane that has claims which are not
// retired, and takes each of their cells as far as it goes:
//
//   report committed ─► copied, checked, located ─► (snapshot) ─► decided,
//   verdict recorded ─► reply line, fence, wake ─► outcome committed ─► event
//   recorded ─► retired
//
// Nothing in shared memory orders these lines among each other but their own
// sequence: a pass may find any of them first, and an outcome without our verdict
// is normal (the deadline passed, or no sidecar was there). What the VMM writes
// can end this session only.
//
// Between a kick and its reply nothing here allocates or calls the kernel, but
// for the futex wake of a thread that waits.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <vector>

#include "shm/area.h"
#include "sidecar/decision/decide.h"
#include "sidecar/session/event_gate.h"
#include "sidecar/session/host.h"
#include "sidecar/session/incident.h"
#include "sidecar/session/incident_event.h"
#include "sidecar/session/poison_table.h"
#include "sidecar/session/refusal.h"
#include "sidecar/session/region_history.h"

namespace memfail::session {

struct IntakeCounts {
  std::uint64_t incidents = 0;  // reports seen
  std::uint64_t lost = 0;       // reports the VMM could not even write down
  std::uint64_t backing_store = 0;  // SIGBUS that was no hardware error
  std::uint64_t late = 0;       // verdicts that came after the deadline
};

class Intake {
 public:
  // How much one session may do before the others have their turn.
  static constexpr std::uint32_t kBudget = 64;

  Intake(Host& host, const VmLabel& vm, const decision::GuestProfile& guest,
         const RegionHistory& regions, const decision::Rules& rules);

  // New areas, at attach: the cells go on from what either side knows as done.
  std::optional<Refusal> attach(shm::RequestView request, shm::ReplyView reply);

  // After the first commit on new areas: verdicts given into the dead ones are
  // written again, since nobody knows whether they were seen.
  void repeat_answers();

  // One pass over the cells; gives how many of them went on. From `budget` on it
  // breaks off, and the next pass begins there. A refusal ends the session.
  std::expected<std::uint32_t, Refusal> pass(std::uint32_t budget = kBudget);

  // After the first commit of this session here: what an earlier sidecar folded into
  // events that it never came to write is told now.
  void tell_leftovers();

  // The VMM is gone: drains what it left, then what is open becomes events.
  void orphan_all();

  // What the VMM lists: at attach, and with the repairs of a guest reset.
  std::optional<Refusal> take_pages(const wire::PoisonPages& message);

  // The session ends by a breach, its VMM lives on: what has ended gets its event, the rest
  // a verdict on record. A cell that breaks the contract is left, the others are looked at.
  void take_last_look();

  const PoisonTable& poison() const { return poison_; }
  std::uint32_t open() const;
  const IntakeCounts& counts() const { return counts_; }

 private:
  using Step = std::expected<bool, Refusal>;  // whether anything was done

  std::optional<Refusal> resume_cell(Incident& incident);
  bool has_claims(std::uint32_t lane) const;
  Step advance(Incident& incident);
  Step take_report(Incident& incident);
  Step take_verdict(Incident& incident);
  Step take_snapshot(Incident& incident);
  Step take_outcome(Incident& incident);
  std::optional<Refusal> take_older(const Incident& incident);
  void locate(Incident& incident);
  void decide(Incident& incident);
  void promise(Incident& incident);
  void answer(Incident& incident);
  void note_report(Incident& incident, wire::Verdict verdict);
  void take_repair(const wire::PoisonPage& page);
  void announce_due(std::uint64_t now_ns);
  void announce(const Announcement& announcement);
  void retire(Incident& incident);
  void pass_until_nothing_moves();
  Incident* oldest_open(std::uint32_t lane);
  void orphan(Incident& incident);
  void end(Incident& incident, journal::EventFields fields);
  journal::IncidentId id_of(const Incident& incident) const;
  PageReport page_report(const Incident& incident) const;
  bool unchanged(const Incident& incident) const;
  std::optional<Refusal> take_counters();
  std::optional<Refusal> take_counter(const char* field, std::uint64_t now, std::uint64_t& seen,
                                      wire::Reason reason);
  std::uint64_t count_half_written() const;
  std::uint64_t publish(const journal::EventFields& fields);  // the event's seq
  void say_ended(const Incident& incident, std::uint64_t seq);
  Refusal broken(const Incident& incident, const char* field, const char* what) const;
  std::span<Incident> cells_of(std::uint32_t lane);
  shm::LineKey lane_key(std::uint32_t lane) const;

  Host& host_;
  const VmLabel& vm_;
  const decision::GuestProfile& guest_;
  const RegionHistory& regions_;
  const decision::Rules& rules_;
  shm::Geometry geometry_;
  shm::RequestView request_;
  shm::ReplyView reply_;
  std::vector<Incident> incidents_;          // by Geometry::cell_index
  std::vector<std::uint64_t> lane_retired_;  // incidents done with, by lane
  std::uint32_t cursor_ = 0;                 // lane at which the next pass begins
  bool draining_ = false;                    // no verdicts any more
  bool last_looks_ = false;                  // what breaks the contract is passed over
  std::optional<Refusal> broken_;            // the first that did
  PoisonTable poison_;
  EventGate gate_;
  IntakeCounts counts_;
};

}  // namespace memfail::session
