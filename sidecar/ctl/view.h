// SPDX-License-Identifier: BSD-3-Clause
//
// What memfailctl shows a person.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace memfail::ctl {

// Aligned columns; `colour` marks the header.
std::string table(const std::vector<std::vector<std::string>>& rows, bool colour);

std::string status_view(const nlohmann::json& status, bool colour);

// One event on one line. Missing members are shown as '-': newer versions may
// differ.
std::string event_view(const nlohmann::json& event, bool colour);

}  // namespace memfail::ctl
