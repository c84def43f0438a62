// SPDX-License-Identifier: BSD-3-Clause
#include "tools/decisions/question.h"

#include <stdexcept>

#include "sidecar/ctl/explain_command.h"

namespace memfail::docs {
namespace {

using decision::Severity;

// The usual case first: it stands for what needs nothing unusual. A new row of a
// table needs a line here that reaches it.
constexpr const char* kSituations[] = {
    "",
    "--kind mmio-exit",
    "--code 2",
    "--address none",
    "--address vmm",
    "--address unmapped",
    "--thread other --address none",
    "--thread other --address vmm",
    "--thread other",
    "--paused",
    "--told",
    "--rule optional=remember",
    "--vendor amd",
    "--ser-p no",
    "--vendor amd --cpuid-80000007-ebx 0",
    "--no-snapshot",
    "--triple-fault",
    "--double-fault",
    "--mc-queued",
    "--repeats 16",
    "--smm",
    "--mcg-ctl-off",
    "--cr4-mce no",
    "--mcip",
    "--banks-off all",
    "--banks-valid all",
    "--rule optional=deferred --cmci all",
};

std::string with_severity(const std::string& arguments, Severity severity) {
  if (severity == Severity::kNone) return arguments;
  const std::string option = severity == Severity::kActionRequired ? "--ar" : "--ao";
  return arguments.empty() ? option : option + ' ' + arguments;
}

std::expected<ctl::Comparison, std::string> answer(const std::string& arguments) {
  CLI::App command;
  ctl::ExplainOptions options;
  ctl::declare_explain(command, options);
  command.parse(arguments);
  const auto input = ctl::input_of(options.situation);
  if (!input) return std::unexpected(input.error());
  const auto rules = ctl::rules_of(options.policy);
  if (!rules) return std::unexpected(rules.error());
  return ctl::compare(rules->rules, *input);
}

// A situation may have a severity of its own, and refuse any other.
void add(std::vector<Question>& list, const std::string& arguments) {
  bool any = false;
  for (const Severity severity : {Severity::kActionRequired, Severity::kActionOptional}) {
    const auto found = answer(with_severity(arguments, severity));
    if (found) list.push_back({arguments, severity, *found});
    any = any || found.has_value();
  }
  if (!any) list.push_back({arguments, Severity::kNone, ask(arguments)});
}

const ctl::Explanation& of_table(const ctl::Comparison& answer, ctl::Table table) {
  return table == ctl::Table::kQemu ? answer.beside : answer.asked;
}

}  // namespace

std::string Question::command() const {
  // --ar is what explain takes where nothing is said.
  const Severity said = severity == Severity::kActionOptional ? severity : Severity::kNone;
  const std::string all = with_severity(arguments, said);
  return all.empty() ? "explain" : "explain " + all;
}

ctl::Comparison ask(const std::string& arguments) {
  auto found = answer(arguments);
  if (!found) throw std::runtime_error("memfailctl explain " + arguments + ": " + found.error());
  return *found;
}

const std::vector<Question>& questions() {
  static const std::vector<Question> all = [] {
    std::vector<Question> list;
    for (const char* arguments : kSituations) add(list, arguments);
    return list;
  }();
  return all;
}

const Question* question_for(ctl::Table table, std::size_t row, std::optional<Severity> severity) {
  for (const Question& question : questions()) {
    if (question.severity != severity.value_or(question.severity)) continue;
    const ctl::LookedAt& last = of_table(question.answer, table).decided_by();
    if (last.table == table && last.row == row) return &question;
  }
  return nullptr;
}

}  // namespace memfail::docs
