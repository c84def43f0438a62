// SPDX-License-Identifier: BSD-3-Clause
//
// `memfailctl explain --json`.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "sidecar/ctl/explain.h"

namespace memfail::ctl {

// {"policy", "rules", "input", "looked-at", "decision", "beside": {"policy", "decision"}}.
// Members and words are those of events and policy files.
nlohmann::ordered_json explain_json(const std::string& policy, const Comparison& comparison);

}  // namespace memfail::ctl
