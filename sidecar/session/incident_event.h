// SPDX-License-Identifier: BSD-3-Clause
//
// What is published about an incident. The outcome is the only truth of what was
// done: it repeats verdict, decider, record and reason. The report and the
// regions say where and how it began.
#pragma once

#include "schema/control_generated.h"
#include "schema/incident_layout.h"
#include "sidecar/journal/event_fields.h"
#include "sidecar/session/event_gate.h"
#include "sidecar/session/incident.h"

namespace memfail::session {

// Who the VM is; set before any of these.
struct VmLabel {
  wire::Id128 session;
  std::string uuid;
  std::string name;
};

// Its vCPU was in a machine check when it reported.
bool met_mcip(const Incident& incident);

// The strings of the result are views of `vm` and `incident`.
journal::EventFields outcome_event(const VmLabel& vm, const Incident& incident, std::uint32_t vcpus,
                                   const wire::OutcomeLine& outcome);

// The VMM is gone and never said: `claimed` when it had begun to carry out.
journal::EventFields orphan_event(const VmLabel& vm, const Incident& incident, std::uint32_t vcpus,
                                  bool claimed);

// `count` incidents of which nothing is known but that they were.
journal::EventFields counted_event(const VmLabel& vm, wire::Reason reason, std::uint64_t count);

// More of the same, and storms: what stands for incidents without an event of their own.
journal::EventFields announced_event(const VmLabel& vm, const StormBegan& storm);
journal::EventFields announced_event(const VmLabel& vm, const Repeats& repeats);
journal::EventFields announced_event(const VmLabel& vm, const StormOver& storm);

// A page that was, or was not, replaced at a guest reset.
journal::EventFields repair_event(const VmLabel& vm, const wire::PoisonPage& page);

// A count as an event has it.
std::uint32_t event_count(std::uint64_t count);

}  // namespace memfail::session
