// SPDX-License-Identifier: BSD-3-Clause
//
// What is published about an incident. The outcome is the only truth of what was
// done: it repeats verdict, decider, record and reason. The report and the
// regions say where and how it began.
#pragma once

#include "schema/incident_layout.h"
#include "sidecar/journal/event_fields.h"
#include "sidecar/session/incident.h"

namespace memfail::session {

// Who the VM is; set before any of these.
struct VmLabel {
  wire::Id128 session;
  std::string uuid;
  std::string name;
};

// The strings of the result are views of `vm` and `incident`.
journal::EventFields outcome_event(const VmLabel& vm, const Incident& incident, std::uint32_t vcpus,
                                   const wire::OutcomeLine& outcome);

// The VMM is gone and never said: `claimed` when it had begun to carry out.
journal::EventFields orphan_event(const VmLabel& vm, const Incident& incident, std::uint32_t vcpus,
                                  bool claimed);

// `count` incidents of which nothing is known but that they were.
journal::EventFields counted_event(const VmLabel& vm, wire::Reason reason, std::uint64_t count);

}  // namespace memfail::session
