// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/explain.h"

#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/qemu_policy.h"
#include "sidecar/decision/recommended_policy.h"

namespace memfail::ctl {
namespace {

using decision::Input;
using decision::Rules;
using decision::Severity;
using decision::Then;
using wire::Verdict;

// The rows of one table up to the one that decides, or all of them.
struct Walk {
  Table table;
  std::size_t end;  // of the rows looked at
  bool decides;     // the last of them
};

template <typename When, typename IsSilent>
void add_rows(std::vector<LookedAt>& out, const Walk& walk, When when, IsSilent is_silent) {
  for (std::size_t i = 0; i < walk.end; ++i) {
    const bool last = walk.decides && i + 1 == walk.end;
    const Looked result = last ? Looked::kDecides : is_silent(i) ? Looked::kSilent : Looked::kNo;
    out.push_back({walk.table, i, when(i), result});
  }
}

bool never_silent(std::size_t) { return false; }

// Whether one of them decides.
bool add_common(std::vector<LookedAt>& out, const Input& input) {
  const auto rows = decision::common_rows();
  const auto row = decision::common_row(input);
  add_rows(
      out, {Table::kCommon, row ? *row + 1 : rows.size(), row.has_value()},
      [rows](std::size_t i) { return rows[i].when; }, never_silent);
  return row.has_value();
}

void add_recommended(std::vector<LookedAt>& out, const Rules& rules, const Input& input) {
  const auto rows = decision::recommended_rows();
  const bool required = input.severity == Severity::kActionRequired;
  add_rows(
      out, {Table::kRecommended, decision::recommended_row(rules, input) + 1, true},
      [rows](std::size_t i) { return rows[i].when; },
      [rows, required](std::size_t i) {
        return (required ? rows[i].required : rows[i].optional) == Then::kNext;
      });
}

void add_qemu(std::vector<LookedAt>& out, const Input& input) {
  add_rows(
      out, {Table::kQemu, decision::qemu_row(input) + 1, true},
      [](std::size_t i) { return decision::qemu_row_at(i).when; }, never_silent);
}

std::vector<LookedAt> rows_looked_at(const Rules& rules, const Input& input) {
  std::vector<LookedAt> rows;
  if (add_common(rows, input)) return rows;
  if (rules.policy == decision::Policy::kQemu) {
    add_qemu(rows, input);
  } else {
    add_recommended(rows, rules, input);
  }
  return rows;
}

}  // namespace

Explanation explain(const Rules& rules, const Input& input) {
  Explanation result;
  result.policy = rules.policy;
  result.looked_at = rows_looked_at(rules, input);
  result.decision = decision::decide(rules, input);
  const Verdict verdict = result.decision.verdict;
  const bool injects = verdict == Verdict::inject || verdict == Verdict::inject_deferred;
  result.has_event = verdict != Verdict::none;
  result.event = decision::event_shape(
      verdict, result.decision.reason, injects ? wire::Delivered::delivered : wire::Delivered::none,
      input.severity, (input.snapshot.mcg_status() & decision::kMcgStatusMcip) != 0);
  return result;
}

Concerns concerns_of(const decision::Decision& decision, const Input& input) {
  const std::uint8_t bank = decision.record.bank;
  const bool is_valid =
      bank < decision::kMaxBanks && ((input.snapshot.bank_val() >> bank) & 1) != 0;
  return {.lost_error = decision.verdict == Verdict::inject && is_valid,
          .endless =
              decision.verdict == Verdict::ignore && input.severity == Severity::kActionRequired};
}

Comparison compare(const Rules& rules, const Input& input) {
  using decision::Policy;
  const bool qemu = rules.policy == Policy::kQemu;
  const Rules other{.policy = qemu ? Policy::kRecommended : Policy::kQemu};
  return {rules, input, explain(rules, input), explain(other, input)};
}

}  // namespace memfail::ctl
