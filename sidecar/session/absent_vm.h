// SPDX-License-Identifier: BSD-3-Clause
//
// VMs that are on record and not attached: those of an earlier sidecar, or of a session
// that ended by a breach. Whoever is gone for good gets its events from the records;
// whoever still runs is watched until it comes back, or ends too.
#pragma once

#include "schema/incident_layout.h"
#include "sidecar/session/host.h"

namespace memfail::session {

// At the start, while /proc can be read.
void take_up_records(Host& host);

// The process of this VM has ended: what was promised for it becomes events.
void absent_vm_exited(Host& host, const wire::Id128& session);

}  // namespace memfail::session
