// SPDX-License-Identifier: BSD-3-Clause
#include "tools/decisions/record_tables.h"

#include <algorithm>

#include "sidecar/ctl/explain_words.h"
#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/qemu_policy.h"
#include "sidecar/decision/reason.h"
#include "sidecar/decision/recommended_policy.h"
#include "tools/decisions/markdown.h"
#include "tools/decisions/question.h"

namespace memfail::docs {
namespace {

using decision::MachineCheck;
using decision::Severity;
using wire::Reason;
using wire::Vendor;

Cells record_row(const char* what, const MachineCheck& record, const std::string& with_lmce) {
  const bool uncorrected = (record.status & decision::kStatusUc) != 0;
  const bool deferred = record.mcg_status == 0;
  return {
      what,      code(ctl::hex(record.status)), code(ctl::hex(record.mcg_status)),
      with_lmce, code(ctl::hex(record.misc)),   deferred ? "CMCI" : uncorrected ? "#MC" : "none"};
}

Cells page_row(const char* what, Vendor vendor, Severity severity) {
  const MachineCheck plain = decision::page_record(vendor, severity, false, 0, 0);
  const MachineCheck local = decision::page_record(vendor, severity, true, 0, 0);
  const bool differs = plain.mcg_status != local.mcg_status;
  return record_row(what, plain, differs ? code(ctl::hex(local.mcg_status)) : "–");
}

// The policy may have another word for what such a row decides: so failures are
// looked at, not rows.
bool in_common(Reason reason) {
  const auto decides = [reason](const ctl::Explanation& one) {
    return one.decided_by().table == ctl::Table::kCommon && one.decision.reason == reason;
  };
  return std::ranges::any_of(questions(), [&decides](const Question& question) {
    return decides(question.answer.asked) || decides(question.answer.beside);
  });
}

bool in_recommended(Reason reason) {
  for (const decision::RecommendedRow& row : decision::recommended_rows()) {
    if (row.reason == reason || row.optional_reason == reason) return true;
  }
  return false;
}

bool in_qemu(Reason reason) {
  for (std::size_t i = 0; i < decision::qemu_row_count(); ++i) {
    if (decision::qemu_row_at(i).reason == reason) return true;
  }
  return false;
}

std::string tables_of(Reason reason) {
  std::string text;
  const auto add = [&text](bool in, const char* name) {
    if (in) text += (text.empty() ? "" : ", ") + std::string(name);
  };
  add(in_common(reason), "every policy");
  add(in_recommended(reason), "`recommended`");
  add(in_qemu(reason), "`qemu`");
  return text.empty() ? "–" : text;
}

}  // namespace

std::string record_table() {
  constexpr Severity kRequired = Severity::kActionRequired;
  constexpr Severity kOptional = Severity::kActionOptional;
  return table({{"record", "MCi_STATUS", "MCG_STATUS", "with LMCE", "MCi_MISC", "the vCPU gets"},
                page_row("action required", Vendor::intel, kRequired),
                page_row("action optional", Vendor::intel, kOptional),
                page_row("action required, AMD guest", Vendor::amd, kRequired),
                page_row("action optional, AMD guest", Vendor::amd, kOptional),
                record_row("deferred (UCNA)", decision::ucna_record(0, 0), "–"),
                record_row("for another vCPU, bank 1", decision::sibling_record(), "–")});
}

std::string verdict_table() {
  std::vector<Cells> rows{{"verdict", "what happens"}};
  for (const wire::Verdict verdict : wire::EnumValuesVerdict()) {
    if (verdict == wire::Verdict::none) continue;
    decision::Decision decision;
    decision.verdict = verdict;
    decision.record = decision::page_record(Vendor::intel, Severity::kActionRequired, false, 0, 0);
    rows.push_back({code(decision::name_of(verdict)), std::string(ctl::verdict_words(decision))});
  }
  return table(rows);
}

std::string reason_table() {
  std::vector<Cells> rows{{"reason", "sentence", "in the rules of"}};
  for (const Reason reason : wire::EnumValuesReason()) {
    if (reason == Reason::none) continue;
    rows.push_back(
        {code(decision::name_of(reason)), ctl::reason_sentence(reason), tables_of(reason)});
  }
  return table(rows);
}

}  // namespace memfail::docs
