// SPDX-License-Identifier: BSD-3-Clause
//
// The run for machines: report.json and events.jsonl.
#pragma once

#include <string>
#include <vector>

#include "vmm_shim/reference/scenarios/outcome.h"

namespace memfail::scenarios {

void write_report(const std::string& path, const std::vector<Outcome>& outcomes);
void write_events(const std::string& path, const std::vector<std::string>& lines);

}  // namespace memfail::scenarios
