// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/judge.h"

#include <algorithm>

namespace memfail::scenarios {
namespace {

using Problems = std::vector<std::string>;

constexpr int kSiblingBank = 1;
constexpr std::string_view kSiblingStatus = "0xa000000000000000";

bool may_be_unsupported(MayMiss where, const Host& host) {
  switch (where) {
    case MayMiss::kAnywhere:
      return true;
    case MayMiss::kWithoutRealPoison:
      return !host.real_poison;
    case MayMiss::kWithoutHugePages:
      return !host.lab;
    case MayMiss::kNowhere:
      break;
  }
  return false;
}

// Each expected event has one of its own among those that came, and no other came.
void compare_events(const Outcome& outcome, const Host& host, Problems& problems) {
  std::vector<Json> came;
  came.reserve(outcome.events.size());
  for (const Json& event : outcome.events) came.push_back(essence(event));
  for (const ExpectedEvent& event : outcome.expected->events) {
    const Json wanted = essence(event, outcome.expected->decided_by());
    const auto found = std::ranges::find(came, wanted);
    if (found == came.end()) {
      problems.push_back("no event " + wanted.dump());
    } else if (outcome.expected->repeats && host.real_poison) {
      std::erase(came, wanted);
    } else {
      came.erase(found);
    }
  }
  for (const Json& event : came) problems.push_back("unexpected event " + event.dump());
}

bool is_sibling(const Json& bank) {
  return bank["bank"] == kSiblingBank && bank["status"] == kSiblingStatus;
}

// What the event says was set, the guest read.
bool same_record(const Json& bank, const Json& vcpu, const Json& record) {
  return bank["vcpu"] == vcpu && bank["bank"] == record["bank"] &&
         bank["status"] == record["status"] && bank["addr"] == record["gpa"];
}

// The records that were delivered: by the events, or where there is no sidecar to
// make any, by what the shim told the VMM.
std::vector<Json> delivered_records(const Outcome& outcome) {
  std::vector<Json> records;
  for (const Json& event : outcome.events) {
    const Json& details = event["data"]["memfail"];
    if (details["delivered"] == "delivered") records.push_back(details);
  }
  if (outcome.expected->drive == Drive::kAbsent) {
    for (const Json& incident : outcome.vmm["incidents"]) records.push_back(incident);
  }
  return records;
}

// The guest saw every record that was delivered, and nothing else but broadcasts.
void compare_guest(const Outcome& outcome, Problems& problems) {
  std::vector<Json> seen = outcome.vmm["guest"];
  for (const Json& record : delivered_records(outcome)) {
    const auto found = std::ranges::find_if(
        seen, [&](const Json& bank) { return same_record(bank, record["vcpu"], record); });
    if (found == seen.end()) {
      problems.push_back("the guest did not see bank " + record["bank"].dump() + " status " +
                         record["status"].dump() + " address " + record["gpa"].dump());
    } else {
      seen.erase(found);
    }
  }
  const auto siblings = std::erase_if(seen, is_sibling);
  if (outcome.expected->broadcast && siblings == 0) problems.emplace_back("no broadcast was seen");
  for (const Json& bank : seen) problems.push_back("the guest saw, unannounced, " + bank.dump());
}

void compare_vm(const Outcome& outcome, Problems& problems) {
  const std::string vm = outcome.vmm.value("vm", "");
  if (vm != outcome.expected->vm) {
    problems.push_back("the VM ended as \"" + vm + "\", not \"" +
                       std::string(outcome.expected->vm) + "\"");
  }
  for (const Json& missed : outcome.vmm.value("missed", Json::array())) {
    problems.push_back("waited in vain for " + missed.get<std::string>());
  }
}

void compare_sidecar(const Outcome& outcome, Problems& problems) {
  const bool attached = outcome.vmm.value("sidecar", "") == "attached";
  if (attached == (outcome.expected->drive == Drive::kAbsent)) {
    problems.push_back("sidecar: " + outcome.vmm.value("sidecar", "?"));
  }
}

}  // namespace

Json essence(const Json& event) {
  const Json& data = event["data"];
  const Json& details = data["memfail"];
  return {{"recipient", data["recipient"]},
          {"action", data["action"]},
          {"action-required", data["flags"]["action-required"]},
          {"recursive", data["flags"]["recursive"]},
          {"verdict", details["verdict"]},
          {"reason", details["reason"]},
          {"decided-by", details["decided-by"]},
          {"delivered", details["delivered"]},
          {"bank", details["bank"]}};
}

Json essence(const ExpectedEvent& event, std::string_view decided_by) {
  return {{"recipient", event.recipient},
          {"action", event.action},
          {"action-required", event.action_required},
          {"recursive", event.recursive},
          {"verdict", event.verdict},
          {"reason", event.reason},
          {"decided-by", decided_by},
          {"delivered", event.delivered},
          {"bank", event.bank ? Json(*event.bank) : Json()}};
}

std::vector<std::string> judge(const Outcome& outcome, const Host& host) {
  if (!outcome.problems.empty()) return outcome.problems;  // it was not even played
  Problems problems;
  if (!outcome.unsupported.empty()) {
    if (!may_be_unsupported(outcome.expected->may_miss, host)) {
      problems.push_back("unsupported, but it should be: " + outcome.unsupported);
    }
    return problems;
  }
  compare_vm(outcome, problems);
  compare_sidecar(outcome, problems);
  compare_events(outcome, host, problems);
  compare_guest(outcome, problems);
  return problems;
}

}  // namespace memfail::scenarios
