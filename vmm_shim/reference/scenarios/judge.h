// SPDX-License-Identifier: BSD-3-Clause
//
// Compares what came with what had to come.
#pragma once

#include <string>
#include <vector>

#include "vmm_shim/reference/scenarios/outcome.h"

namespace memfail::scenarios {

struct Host {
  bool real_poison = false;
  bool lab = false;  // an emulated machine that has everything but LMCE and CMCI
};

// One line for each difference.
std::vector<std::string> judge(const Outcome& outcome, const Host& host);

// The members of an event that are compared, and of an expectation.
Json essence(const Json& event);
Json essence(const ExpectedEvent& event, std::string_view decided_by);

}  // namespace memfail::scenarios
