// SPDX-License-Identifier: BSD-3-Clause
//
// The verdicts, the machine-check records, and the reasons with their sentences, as
// Markdown.
#pragma once

#include <string>

namespace memfail::docs {

std::string verdict_table();
std::string record_table();
std::string reason_table();

}  // namespace memfail::docs
