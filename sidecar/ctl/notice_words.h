// SPDX-License-Identifier: BSD-3-Clause
//
// What memfaild says of itself in the event stream, as a sentence.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace memfail::ctl {

// Of the object beside "memfaild"; none where there is nothing to say to a person.
std::optional<std::string> notice_words(const nlohmann::json& notice);

// Whether a power cut leaves the events from `seq` on, where that changes.
std::string durable_words(const std::string& seq, bool durable);

}  // namespace memfail::ctl
