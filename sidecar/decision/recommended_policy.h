// SPDX-License-Identifier: BSD-3-Clause
//
// The policy `recommended`: severity from the signal, never from the record; a guest
// is told only what it can take, in a bank that is free; what cannot be told now is
// remembered if it may wait, and ends in a reset if it may not. Rules that hold under
// every policy come before it: call decide().
#pragma once

#include <span>
#include <string_view>

#include "sidecar/decision/input.h"
#include "sidecar/decision/rules.h"

namespace memfail::decision {

Decision decide_recommended(const Rules& rules, const Input& input);

// What a row of the policy comes to, for one severity.
enum class Then : std::uint8_t {
  kNext,        // the row says nothing: look at the next
  kIgnore,      // the guest is not told; its own page is remembered
  kRetry,       // the access is tried again, nothing is injected
  kUntold,      // Rules::untold
  kNoProgress,  // Rules::no_progress
  kAbort,
  kDefer,       // told without an exception
  kInject,
};

struct Facts;

// One row; the first that holds and does not say kNext decides.
struct RecommendedRow {
  std::string_view when;  // in words, for docs/decisions.md and `memfailctl explain`
  bool (*holds)(const Facts&);
  Then required;
  Then optional;
  wire::Reason reason;           // where action is required
  wire::Reason optional_reason;  // where it is optional
};

std::span<const RecommendedRow> recommended_rows();

// The row that decides, as an index into recommended_rows().
std::size_t recommended_row(const Rules& rules, const Input& input);

}  // namespace memfail::decision
