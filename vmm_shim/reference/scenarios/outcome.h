// SPDX-License-Identifier: BSD-3-Clause
//
// One scenario after it was played.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "vmm_shim/reference/scenarios/expectation.h"

namespace memfail::scenarios {

using Json = nlohmann::ordered_json;

struct Outcome {
  const Expectation* expected = nullptr;
  Json vmm;                           // what memfail-vmm printed
  std::vector<Json> events;           // of its VM
  std::vector<Json> operator_told;    // who asked for it, if it was asked for
  std::string unsupported;            // why this host cannot play it
  std::vector<std::string> problems;  // why it is not as it should be; empty: it is

  bool ok() const { return problems.empty(); }
};

}  // namespace memfail::scenarios
