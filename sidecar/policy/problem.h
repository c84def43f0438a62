// SPDX-License-Identifier: BSD-3-Clause
//
// What is wrong with a policy, and where.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace memfail::policy {

struct Position {
  std::uint32_t line = 0;    // from 1; 0: there is no text, or not one place in it
  std::uint32_t column = 0;  // from 1, in characters
};

struct Problem {
  std::string place;  // "vms[2].repeat_limit"; empty: the whole, or known by position only
  std::string what;   // "1: must be 2 to 1000"
  Position position;
};

using Problems = std::vector<Problem>;

// More are not looked for: after so many a person begins to repair.
inline constexpr std::size_t kMaxProblems = 20;

// "FILE:3:21: vms[2].repeat_limit: 1: must be 2 to 1000"; without what is not known.
std::string problem_line(const Problem& problem, std::string_view file);

// Where the byte `offset` of `text` stands. Text that is not UTF-8 counts by bytes there.
Position position_of(std::string_view text, std::size_t offset);

}  // namespace memfail::policy
