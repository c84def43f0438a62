// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/report.h"

#include <fstream>

#include "vmm_shim/reference/scenarios/fail.h"
#include "vmm_shim/reference/scenarios/judge.h"

namespace memfail::scenarios {
namespace {

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "; ") + line;
  return text;
}

Json expected_of(const Expectation& expected) {
  Json events = Json::array();
  for (const ExpectedEvent& event : expected.events) {
    events.push_back(essence(event, expected.decided_by()));
  }
  return {{"vm", expected.vm}, {"events", events}};
}

Json seen_of(const Outcome& outcome) {
  if (!outcome.unsupported.empty() || !outcome.vmm.is_object()) return nullptr;
  Json events = Json::array();
  for (const Json& event : outcome.events) {
    events.push_back(essence(event));
    for (const char* place : {"gpa", "size"}) {
      events.back()[place] = event["data"]["memfail"][place];
    }
  }
  return {{"vm", outcome.vmm.value("vm", "")},
          {"broken", outcome.vmm.value("broken", Json::array())},
          {"events", events},
          {"guest", outcome.vmm.value("guest", Json::array())}};
}

Json entry(const Outcome& outcome) {
  const char* played = outcome.unsupported.empty() ? "ok" : "unsupported";
  Json reason = outcome.unsupported.empty() ? Json() : Json(outcome.unsupported);
  if (!outcome.ok()) reason = joined(outcome.problems);
  return {{"scenario", outcome.expected->scenario},
          {"summary", outcome.vmm.value("summary", "")},
          {"expected", expected_of(*outcome.expected)},
          {"seen", seen_of(outcome)},
          {"result", outcome.ok() ? played : "wrong"},
          {"ok", outcome.ok()},
          {"reason", reason}};
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
  if (!file.flush()) fail(path);
}

}  // namespace

void write_report(const std::string& path, const std::vector<Outcome>& outcomes) {
  Json entries = Json::array();
  for (const Outcome& outcome : outcomes) entries.push_back(entry(outcome));
  write_file(path, entries.dump(2) + "\n");
}

void write_events(const std::string& path, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  write_file(path, text);
}

}  // namespace memfail::scenarios
