// SPDX-License-Identifier: BSD-3-Clause
//
// A decision in words, for `memfailctl explain` and docs/decisions.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sidecar/ctl/explain.h"

namespace memfail::ctl {

// "0x203000"
std::string hex(std::uint64_t value);

// "action required", "action optional", "no hardware error"
std::string_view severity_words(decision::Severity severity);

// What becomes of the vCPU, or of the whole VM.
std::string_view verdict_words(const decision::Decision& decision);

// "bank 9, status 0x…, address 0x…, misc 0x8c, MCG_STATUS 0x7"
std::string record_words(const decision::MachineCheck& record);

// What becomes of the other vCPUs.
std::string sibling_words(wire::SiblingRule rule);

// The sentence that the event has, without a vCPU.
std::string reason_sentence(wire::Reason reason);

// "guest/inject, action required, recursive"
std::string event_words(const decision::EventShape& event);

// Its concerns, a sentence each.
std::vector<std::string> warnings(const decision::Decision& decision, const decision::Input& input);

}  // namespace memfail::ctl
