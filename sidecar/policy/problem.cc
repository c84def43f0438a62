// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/problem.h"

#include <algorithm>

#include "sidecar/policy/utf8.h"

namespace memfail::policy {

std::string problem_line(const Problem& problem, std::string_view file) {
  std::string line(file);
  if (problem.position.line != 0) {
    line += (line.empty() ? "" : ":") + std::to_string(problem.position.line) + ":" +
            std::to_string(problem.position.column);
  }
  if (!problem.place.empty()) line += (line.empty() ? "" : ": ") + problem.place;
  return line + (line.empty() ? "" : ": ") + problem.what;
}

Position position_of(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const std::size_t newline = before.rfind('\n');
  std::string_view rest = newline == std::string_view::npos ? before : before.substr(newline + 1);
  Position position{static_cast<std::uint32_t>(lines) + 1, 1};
  while (!rest.empty()) {
    rest.remove_prefix(decode(rest).size);
    ++position.column;
  }
  return position;
}

}  // namespace memfail::policy
