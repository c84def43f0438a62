// SPDX-License-Identifier: BSD-3-Clause
//
// A policy file on its way to memfaild, which takes no text: compiled here.
#pragma once

#include <expected>
#include <nlohmann/json.hpp>
#include <string>

namespace memfail::ctl {

// What to ask memfaild, or what is wrong with the file.
std::expected<nlohmann::json, std::string> policy_to_load(const std::string& file);

}  // namespace memfail::ctl
