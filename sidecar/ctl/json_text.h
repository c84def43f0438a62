// SPDX-License-Identifier: BSD-3-Clause
//
// Members of memfaild's answers, as they may be shown to a person.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace memfail::ctl {

// Names come from VMs: control characters and what is not UTF-8 are '?'.
std::string shown(std::string_view text);

// What stands there; '-' for nothing, so that newer versions may differ.
std::string text_at(const nlohmann::json& object, const char* pointer);

// Characters of UTF-8 text, each taken as one column.
std::size_t columns_of(std::string_view text);

}  // namespace memfail::ctl
