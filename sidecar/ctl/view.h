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

// Missing members are shown as '-': newer versions may differ.
std::string status_view(const nlohmann::json& status, bool colour);
std::string pages_view(const nlohmann::json& pages, bool colour);

}  // namespace memfail::ctl
