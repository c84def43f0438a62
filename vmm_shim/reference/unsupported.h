// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "vmm_shim/reference/poison.h"
#include "vmm_shim/reference/scenario.h"

namespace memfail::reference {

// Empty, or why this host cannot play the scenario: what KVM refuses is found out
// by asking it.
std::string why_unsupported(const Scenario& scenario, PoisonKind poison);

}  // namespace memfail::reference
