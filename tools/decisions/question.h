// SPDX-License-Identifier: BSD-3-Clause
//
// Failures that stand for many, as somebody would ask `memfailctl explain` about
// them: whoever reads the page can ask the same. Which of them stands for a row is
// found by asking, so a row that changes finds its own.
//
// What goes wrong here is thrown, as one line: this is no part of the product.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sidecar/ctl/explain.h"

namespace memfail::docs {

struct Question {
  std::string arguments;  // of memfailctl explain, without the severity
  decision::Severity severity = decision::Severity::kActionRequired;
  ctl::Comparison answer;  // `recommended`, and QEMU's beside it

  std::string command() const;  // "explain --ao --told"
};

// One question, with --ar or --ao among the arguments where it matters.
ctl::Comparison ask(const std::string& arguments);

// Each situation of the list, action required and action optional, in its order.
const std::vector<Question>& questions();

// The first that is decided by this row of this table; none: nothing reaches it.
const Question* question_for(ctl::Table table, std::size_t row,
                             std::optional<decision::Severity> severity = {});

}  // namespace memfail::docs
