// SPDX-License-Identifier: BSD-3-Clause
//
// What an incident's event looks like, as Markdown.
#pragma once

#include <string>

namespace memfail::docs {

// By verdict, delivery and reason; what is alike in one row.
std::string event_table();

}  // namespace memfail::docs
