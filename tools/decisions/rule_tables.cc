// SPDX-License-Identifier: BSD-3-Clause
#include "tools/decisions/rule_tables.h"

#include <stdexcept>
#include <utility>

#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/qemu_policy.h"
#include "sidecar/decision/reason.h"
#include "sidecar/decision/recommended_policy.h"
#include "tools/decisions/markdown.h"
#include "tools/decisions/question.h"

namespace memfail::docs {
namespace {

using ctl::Explanation;
using ctl::Table;
using decision::Decision;
using decision::Severity;
using decision::Then;
using wire::Verdict;

template <typename Enum>
std::string name(Enum value) {
  return std::string(decision::name_of(value));
}

std::string with_reason(const std::string& what, wire::Reason reason) {
  return reason == wire::Reason::none ? what : what + ", " + code(decision::name_of(reason));
}

// What the guest makes of it is worse than the verdict's word.
std::string consequence(const Decision& decision, const decision::Input& input) {
  const ctl::Concerns concerns = ctl::concerns_of(decision, input);
  if (concerns.lost_error) return " with OVER";
  return concerns.endless ? ", again and again" : "";
}

std::string decision_cell(const Decision& decision, const decision::Input& input, bool stands_out) {
  return with_reason(bold(name(decision.verdict), stands_out) + consequence(decision, input),
                     decision.reason);
}

const Question& reached(Table table, std::size_t row, std::string_view when,
                        std::optional<Severity> severity = {}) {
  if (const Question* question = question_for(table, row, severity)) return *question;
  throw std::runtime_error("nothing in tools/decisions/question.cc reaches the row \"" +
                           std::string(when) + '"');
}

std::string number(std::size_t row) { return std::to_string(row + 1); }

// The rule by which an operator chooses this verdict, in italics: another choice
// makes another verdict. Else the verdict itself.
std::string chosen_words(const ctl::Comparison& answer) {
  constexpr std::pair<const char*, Verdict decision::Rules::*> kChoices[] = {
      {"*untold*", &decision::Rules::untold},
      {"*outside*", &decision::Rules::outside},
      {"*no_progress*", &decision::Rules::no_progress}};
  const Verdict verdict = answer.asked.decision.verdict;
  for (const auto& [words, rule] : kChoices) {
    decision::Rules other = answer.rules;
    other.*rule = Verdict::pause;
    if (decision::decide(other, answer.input).verdict != verdict) return words;
  }
  return name(verdict);
}

std::string chosen_cell(const ctl::Comparison& answer) {
  return with_reason(chosen_words(answer), answer.asked.decision.reason);
}

// ---- recommended -----------------------------------------------------------------------

// One row of `recommended` for one severity.
struct Half {
  std::string ours, qemus;
  const Question* question = nullptr;  // none: the row says nothing
};

// Of an AMD guest's action-optional failures none gets past the row "an AMD guest".
bool is_never_reached(Severity severity, wire::Reason reason) {
  return severity == Severity::kActionOptional && reason == wire::Reason::no_recovery;
}

Half half(std::size_t row, Severity severity) {
  const decision::RecommendedRow& one = decision::recommended_rows()[row];
  const bool required = severity == Severity::kActionRequired;
  const Then then = required ? one.required : one.optional;
  const wire::Reason reason = required ? one.reason : one.optional_reason;
  if (then == Then::kNext || is_never_reached(severity, reason)) return {"–", "", nullptr};
  const Question& question = reached(Table::kRecommended, row, one.when, severity);
  const ctl::Comparison& answer = question.answer;
  const bool differs = answer.beside.decision.verdict != answer.asked.decision.verdict;
  return {chosen_cell(answer), decision_cell(answer.beside.decision, answer.input, differs),
          &question};
}

std::string commands(const Half& required, const Half& optional) {
  if (required.question == nullptr) return code(optional.question->command());
  const std::string first = code(required.question->command());
  const bool same =
      optional.question == nullptr || optional.question->arguments == required.question->arguments;
  return same ? first : first + ", " + code(optional.question->command());
}

// ---- the others --------------------------------------------------------------------------

std::string sibling_cell(wire::SiblingRule rule, const decision::Input& sibling) {
  const Decision decision = decision::decide_sibling(rule, sibling.guest, sibling.snapshot);
  return with_reason(bold(name(decision.verdict), decision.verdict == Verdict::reset),
                     decision.reason);
}

bool same_record(const Decision& a, const Decision& b) {
  return a.record.bank == b.record.bank && a.record.status == b.record.status;
}

std::string verdict_and_bank(const Explanation& explanation, const decision::Input& input) {
  const Decision& decision = explanation.decision;
  std::string verdict = name(decision.verdict);
  if (decision.record.bank != wire::kNoBank) {
    verdict += " into bank " + std::to_string(decision.record.bank);
  }
  return with_reason(verdict + consequence(decision, input), decision.reason);
}

}  // namespace

std::string common_table() {
  std::vector<Cells> rows{{"#", "when", "`recommended`", "`qemu`", "`memfailctl` …"}};
  const auto common = decision::common_rows();
  for (std::size_t i = 0; i < common.size(); ++i) {
    const Question& question = reached(Table::kCommon, i, common[i].when);
    const ctl::Comparison& answer = question.answer;
    rows.push_back({number(i), std::string(common[i].when), chosen_cell(answer),
                    decision_cell(answer.beside.decision, answer.input, false),
                    code(question.command())});
  }
  return table(rows);
}

std::string recommended_table() {
  std::vector<Cells> rows{
      {"#", "when", "action required", "`qemu`", "action optional", "`qemu`", "`memfailctl` …"}};
  const auto recommended = decision::recommended_rows();
  for (std::size_t i = 0; i < recommended.size(); ++i) {
    const Half required = half(i, Severity::kActionRequired);
    const Half optional = half(i, Severity::kActionOptional);
    rows.push_back({number(i), std::string(recommended[i].when), required.ours, required.qemus,
                    optional.ours, optional.qemus, commands(required, optional)});
  }
  return table(rows);
}

std::string qemu_table() {
  std::vector<Cells> rows{
      {"#", "when", "action required", "action optional", "reason", "`memfailctl` …"}};
  for (std::size_t i = 0; i < decision::qemu_row_count(); ++i) {
    const decision::QemuRow row = decision::qemu_row_at(i);
    rows.push_back({number(i), std::string(row.when), name(row.required), name(row.optional),
                    code(name(row.reason)), code(reached(Table::kQemu, i, row.when).command())});
  }
  return table(rows);
}

std::string sibling_table() {
  struct State {
    const char* words;
    const char* arguments;
  };
  constexpr State kStates[] = {{"ready for a machine check", ""},
                               {"never started", "--not-started"},
                               {"in SMM", "--smm"},
                               {"CR4.MCE is clear", "--cr4-mce no"},
                               {"handles a machine check (MCIP)", "--mcip"},
                               {"a #MC is queued", "--mc-queued"},
                               {"MCG_CTL is not all ones", "--mcg-ctl-off"},
                               {"MCi_CTL of the bank is not all ones", "--banks-off 1"},
                               {"each bank that is on holds a valid record", "--banks-valid all"},
                               {"its state could not be read", "--no-snapshot"}};
  std::vector<Cells> rows{{"the other vCPU", "`broadcast-ready`", "`broadcast-qemu`"}};
  for (const State& state : kStates) {
    const decision::Input sibling = ask(state.arguments).input;
    rows.push_back({state.words, sibling_cell(wire::SiblingRule::broadcast_ready, sibling),
                    sibling_cell(wire::SiblingRule::broadcast_qemu, sibling)});
  }
  return table(rows);
}

std::string difference(const std::string& arguments) {
  const ctl::Comparison answer = ask(arguments);
  const Decision& ours = answer.asked.decision;
  const Decision& qemus = answer.beside.decision;
  if (ours.verdict == qemus.verdict && same_record(ours, qemus)) {
    throw std::runtime_error("{{differ " + arguments + "}}: the policies agree");
  }
  return code("explain " + arguments) + " | " + verdict_and_bank(answer.asked, answer.input) +
         " | " + verdict_and_bank(answer.beside, answer.input);
}

}  // namespace memfail::docs
