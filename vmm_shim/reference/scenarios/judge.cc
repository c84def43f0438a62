// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/judge.h"

#include <algorithm>
#include <array>
#include <initializer_list>

namespace memfail::scenarios {
namespace {

using Problems = std::vector<std::string>;

constexpr int kSiblingBank = 1;
constexpr int kDelivered = 1;  // enum Delivered, as memfail-vmm prints it
constexpr std::string_view kOlderStatus = "0x8000000000000000";
constexpr std::string_view kSiblingStatus = "0xa000000000000000";

bool may_be_unsupported(MayMiss where, const Host& host) {
  switch (where) {
    case MayMiss::kAnywhere:
      return true;
    case MayMiss::kWithoutRealPoison:
      return !host.real_poison;
    case MayMiss::kWithoutHugePages:
      return !host.lab;
    case MayMiss::kWithoutBoth:
      return !host.lab || !host.real_poison;
    case MayMiss::kNowhere:
      break;
  }
  return false;
}

bool same_in(const Json& one, const Json& other, std::initializer_list<const char*> members) {
  return std::ranges::all_of(members, [&](const char* name) { return one[name] == other[name]; });
}

// `came` is what was wanted, as far as that says.
bool fits(const Json& came, Json wanted) {
  for (const char* member : {"region", "thread"}) {
    if (wanted[member].is_null()) wanted[member] = came[member];
  }
  return came == wanted;
}

// The same once more, in an event of its own or counted.
bool is_repeat(const Json& event, const Json& first) {
  return same_in(
      event, first,
      {"recipient", "action", "action-required", "recursive", "verdict", "reason", "delivered"});
}

// Each expected event has one of its own among those that came, and no other came.
void compare_events(const Outcome& outcome, const Host& host, Problems& problems) {
  std::vector<Json> came;
  came.reserve(outcome.events.size());
  for (const Json& event : outcome.events) came.push_back(essence(event));
  for (const ExpectedEvent& event : outcome.expected->events) {
    const Json wanted = essence(event, outcome.expected->decided_by());
    const auto found =
        std::ranges::find_if(came, [&](const Json& one) { return fits(one, wanted); });
    if (found == came.end()) {
      problems.push_back("no event " + wanted.dump());
    } else if (outcome.expected->repeats && host.real_poison) {
      std::erase_if(came, [&](const Json& other) { return is_repeat(other, wanted); });
    } else {
      came.erase(found);
    }
  }
  if (!outcome.expected->may_come.empty()) {
    std::erase_if(came,
                  [&](const Json& event) { return event["reason"] == outcome.expected->may_come; });
  }
  for (const Json& event : came) problems.push_back("unexpected event " + event.dump());
}

// What says how many pages broke, or what became of one, tells of no incident.
bool tells_of_incidents(const Json& details) {
  constexpr auto kOthers = std::to_array<std::string_view>(
      {"storm", "repaired", "not-repaired", "backing-store", "drill-over"});
  return std::ranges::find(kOthers, details["reason"].get<std::string>()) == kOthers.end();
}

// Each incident is in exactly one event's count. A VMM that aborts says only its last.
void compare_counts(const Outcome& outcome, Problems& problems) {
  if (outcome.expected->drive == Drive::kAbsent || !outcome.vmm.contains("missed")) return;
  std::uint64_t counted = 0;
  for (const Json& event : outcome.events) {
    const Json& details = event["data"]["memfail"];
    if (tells_of_incidents(details)) counted += details["count"].get<std::uint64_t>();
  }
  const std::size_t incidents = outcome.vmm["incidents"].size() + outcome.expected->by_handler;
  if (counted != incidents) {
    problems.push_back("the events count " + std::to_string(counted) + " incidents of " +
                       std::to_string(incidents));
  }
}

std::uint64_t number(const Json& hex) { return std::stoull(hex.get<std::string>(), nullptr, 16); }

// Whether that page, or the huge page around it, is one that the scenario broke.
bool is_broken(const Json& vmm, std::uint64_t gpa) {
  const std::uint64_t size = vmm["page_size"].get<std::uint64_t>();
  return std::ranges::any_of(
      vmm["broken"], [&](const Json& broken) { return number(broken) / size == gpa / size; });
}

// An event that names a page of the guest's names one that broke, and all that is lost
// with it. What an operator asked for breaks nothing, and a VMM that aborts has no time
// to say what did.
void compare_places(const Outcome& outcome, Problems& problems) {
  const bool broke = outcome.expected->drive != Drive::kOrdered && outcome.vmm.contains("missed");
  for (const Json& event : outcome.events) {
    const Json& details = event["data"]["memfail"];
    if (details["gpa"].is_null() || details["reason"] == "operator-request") continue;
    const std::string gpa = details["gpa"].get<std::string>();
    if (details["size"] != outcome.vmm["page_size"]) {
      problems.push_back("the event of " + gpa + " says that " + details["size"].dump() +
                         " bytes are lost, not " + outcome.vmm["page_size"].dump());
    }
    if (broke && !is_broken(outcome.vmm, number(details["gpa"]))) {
      problems.push_back("an event names " + gpa + ", which is not broken");
    }
  }
}

bool is_older(const Json& bank) { return bank["status"] == kOlderStatus; }

bool is_sibling(const Json& bank) {
  return bank["bank"] == kSiblingBank && bank["status"] == kSiblingStatus;
}

// What the event says was set, the guest read.
bool same_record(const Json& bank, const Json& vcpu, const Json& record) {
  return bank["vcpu"] == vcpu && bank["bank"] == record["bank"] &&
         bank["status"] == record["status"] && bank["addr"] == record["gpa"];
}

// Not every incident has an event: there is no sidecar, or one event counts many.
bool events_leave_out(const Outcome& outcome) {
  return outcome.expected->drive == Drive::kAbsent ||
         std::ranges::any_of(outcome.expected->events,
                             [](const ExpectedEvent& event) { return event.count > 1; });
}

// The records that were delivered: by the events, or where these leave some out, by
// what the shim told the VMM.
std::vector<Json> delivered_records(const Outcome& outcome) {
  std::vector<Json> records;
  if (events_leave_out(outcome)) {
    for (const Json& incident : outcome.vmm["incidents"]) {
      if (incident["delivered"] == kDelivered) records.push_back(incident);
    }
    return records;
  }
  for (const Json& event : outcome.events) {
    const Json& details = event["data"]["memfail"];
    if (details["delivered"] == "delivered") records.push_back(details);
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
  if (outcome.expected->older_record) std::erase_if(seen, is_older);
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

// The VM accepted what was asked, and who asked was shown the first event.
void compare_order(const Outcome& outcome, Problems& problems) {
  if (outcome.expected->drive != Drive::kOrdered) return;
  const std::vector<Json>& told = outcome.operator_told;
  const bool done = told.size() == 2 && told[0].contains("accepted") && told[1].contains("event");
  if (!done) problems.push_back("the operator was told " + Json(told).dump());
  if (!done || outcome.events.empty()) return;
  if (told[1] != outcome.events.front()) problems.emplace_back("the operator saw another event");
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
          {"bank", details["bank"]},
          {"count", details["count"]},
          {"repair", details.value("repair", Json())},
          {"drill", details["drill"]},
          {"region", details["region"]},
          {"thread", details["thread"]}};
}

Json essence(const ExpectedEvent& event, std::string_view decided_by) {
  return {{"recipient", event.recipient},
          {"action", event.action},
          {"action-required", event.action_required},
          {"recursive", event.recursive},
          {"verdict", event.verdict},
          {"reason", event.reason},
          {"decided-by", event.by.empty() ? decided_by : event.by},
          {"delivered", event.delivered},
          {"bank", event.bank ? Json(*event.bank) : Json()},
          {"count", event.count},
          {"repair", event.repair.empty() ? Json() : Json(event.repair)},
          {"drill", event.drill},
          {"region", event.region.empty() ? Json() : Json(event.region)},
          {"thread", event.thread.empty() ? Json() : Json(event.thread)}};
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
  compare_order(outcome, problems);
  compare_events(outcome, host, problems);
  compare_counts(outcome, problems);
  compare_places(outcome, problems);
  compare_guest(outcome, problems);
  return problems;
}

}  // namespace memfail::scenarios
