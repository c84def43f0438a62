// SPDX-License-Identifier: BSD-3-Clause
//
// What little of Markdown the page's tables are made of.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace memfail::docs {

using Cells = std::vector<std::string>;

// The first row is the header.
std::string table(const std::vector<Cells>& rows);

// `text`
std::string code(std::string_view text);

// **text**, where `on`
std::string bold(const std::string& text, bool on);

}  // namespace memfail::docs
