// SPDX-License-Identifier: BSD-3-Clause
//
// Ranges and enumerations of lines that the VMM wrote, checked on the copy. Null:
// the line is good. Else the field that is not, in static storage.
#pragma once

#include <cstdint>

#include "schema/incident_layout.h"

namespace memfail::session {

const char* check_report(const wire::ReportLine& line, bool vcpu_lane);
const char* check_snapshot(const wire::SnapshotLine& line, std::uint32_t vcpus);
const char* check_outcome(const wire::OutcomeLine& line, std::uint32_t vcpus);

}  // namespace memfail::session
