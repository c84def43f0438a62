// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "vmm_shim/state.h"

namespace memfail::shim {

// An incident as the VMM's operations are told of it. Async-signal-safe: its text
// is the reason's name.
memfail_incident incident_of(const wire::ReportLine& report, const wire::OutcomeLine& outcome,
                             std::uint64_t lost_size);

}  // namespace memfail::shim
