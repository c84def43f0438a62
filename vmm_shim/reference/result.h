// SPDX-License-Identifier: BSD-3-Clause
//
// What a scenario came to, as one JSON object.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "vmm_shim/reference/scenario.h"
#include "vmm_shim/reference/vmm.h"

namespace memfail::reference {

using Json = nlohmann::ordered_json;

// All but how the VM ended ("vm").
Json describe(const Vmm& vmm, const Scenario& scenario, const std::string& no_sidecar);

// What came later in another VM that the first one became.
void append(Json& story, const Json& later);

std::string name_of(VmState state);

}  // namespace memfail::reference
