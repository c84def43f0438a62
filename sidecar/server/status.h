// SPDX-License-Identifier: BSD-3-Clause
//
// What operators may see.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/journal/journal.h"
#include "sidecar/policy/policy_set.h"
#include "sidecar/server/wall.h"
#include "sidecar/session/session_table.h"

namespace memfail::server {

struct StatusSources {
  std::string_view version;
  std::string_view policy;
  const policy::PolicySet& policy_set;
  const Wall& wall;
  const session::SessionTable& table;
  journal::Journal& journal;
  std::uint64_t now_ns = 0;  // CLOCK_MONOTONIC
};

nlohmann::ordered_json status(const StatusSources& sources);

// The pages known to be broken of the VMs of this name; all VMs where it is empty.
nlohmann::ordered_json pages(const StatusSources& sources, std::string_view vm_name);

}  // namespace memfail::server
