// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/story.h"

#include <algorithm>
#include <cstdio>

namespace memfail::scenarios {
namespace {

void line(const std::string& label, const std::string& text) {
  std::printf("  %-9s %s\n", label.c_str(), text.c_str());
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// Microseconds since the moment something was done to the guest.
void tell_timeline(const Json& moments, const Paint& paint) {
  std::int64_t start = -1;
  for (const Json& moment : moments) {
    const auto at = moment["at_us"].get<std::int64_t>();
    if (moment["text"] == "the guest is ready") continue;
    if (start < 0) start = at;
    char stamp[32];
    std::snprintf(stamp, sizeof(stamp), "%+8lld µs", static_cast<long long>(at - start));
    std::printf("  %s  %s\n", paint.faint(stamp).c_str(), text_of(moment["text"]).c_str());
  }
}

std::string where(const Json& details) {
  if (!details["gpa"].is_null()) {
    return "guest page " + text_of(details["gpa"]) + " (" + text_of(details["region"]) + ", " +
           std::to_string(details["size"].get<std::uint64_t>() >> 10) + " KiB)";
  }
  if (!details["hva"].is_null()) return "page " + text_of(details["hva"]) + " of the VMM itself";
  return "a page the kernel cannot name";
}

std::string decision(const Json& details) {
  const std::string by = details["decided-by"] == "sidecar" ? "the sidecar" : "the shim itself";
  return text_of(details["verdict"]) + ", by " + by + ", carried out after " +
         std::to_string(details["latency-ns"].get<std::uint64_t>() / 1000) + " µs";
}

std::string event_words(const Json& event) {
  const Json& data = event["data"];
  std::string text = "MEMORY_FAILURE " + text_of(data["recipient"]) + "/" + text_of(data["action"]);
  text += data["flags"]["action-required"].get<bool>() ? ", action required" : ", action optional";
  if (data["flags"]["recursive"].get<bool>()) text += ", recursive";
  return text + ", seq " + data["memfail"]["seq"].dump();
}

void tell_event(const Json& event) {
  const Json& details = event["data"]["memfail"];
  line("broke", where(details));
  line("decided", decision(details));
  line("because", text_of(details["reason-text"]));
  line("event", event_words(event));
}

std::string guest_words(const Json& bank) {
  const char* how = bank["saved_ip"] == "0x0" ? " found bank " : " got #MC, bank ";
  return "vCPU " + bank["vcpu"].dump() + how + bank["bank"].dump() + " status " +
         text_of(bank["status"]) + " address " + text_of(bank["addr"]) +
         (bank["recovered"].get<bool>() ? ", recovered" : "");
}

void tell_guest(const Json& vmm) {
  const Json banks = vmm.value("guest", Json::array());
  for (const Json& bank : banks) line("guest", guest_words(bank));
  if (banks.empty()) line("guest", "saw nothing");
}

// A loop of the same event is told once.
void tell_events(const std::vector<Json>& events) {
  constexpr std::size_t kTold = 3;
  for (std::size_t at = 0; at < std::min(events.size(), kTold); ++at) tell_event(events[at]);
  if (events.size() > kTold) {
    line("event", "… and " + std::to_string(events.size() - kTold) + " more");
  }
}

void tell_result(const Outcome& outcome, const Paint& paint) {
  for (const std::string& problem : outcome.problems) line(paint.bad("WRONG    "), problem);
  if (outcome.ok()) std::printf("  %s\n", paint.good("as it should be").c_str());
}

std::string title(const Outcome& outcome, const Paint& paint) {
  return paint.bold(std::string(outcome.expected->scenario)) + "  " +
         outcome.vmm.value("summary", "");
}

}  // namespace

std::string Paint::wrap(const char* code, const std::string& text) const {
  return colours_ ? "\x1b[" + std::string(code) + "m" + text + "\x1b[0m" : text;
}

void tell(const Outcome& outcome, const Paint& paint) {
  std::printf("\n%s\n", title(outcome, paint).c_str());
  if (!outcome.unsupported.empty()) {
    line(paint.odd("unsupported"), outcome.unsupported);
    if (!outcome.ok()) tell_result(outcome, paint);
    std::fflush(stdout);
    return;
  }
  if (outcome.vmm.is_object()) {
    tell_timeline(outcome.vmm.value("timeline", Json::array()), paint);
    tell_events(outcome.events);
    if (outcome.events.empty()) line("event", "none: no sidecar is there to make one");
    tell_guest(outcome.vmm);
    line("VM", outcome.vmm.value("vm", "?"));
  }
  tell_result(outcome, paint);
  std::fflush(stdout);
}

void tell_summary(const std::vector<Outcome>& outcomes, const Paint& paint) {
  long good = 0, unsupported = 0;
  for (const Outcome& outcome : outcomes) {
    if (outcome.ok()) ++(outcome.unsupported.empty() ? good : unsupported);
  }
  const long bad = std::ssize(outcomes) - good - unsupported;
  std::printf("\n%ld scenarios: %ld as they should be, %ld not supported by this host, ",
              static_cast<long>(outcomes.size()), good, unsupported);
  const std::string wrong = std::to_string(bad) + " wrong";
  std::printf("%s\n", (bad ? paint.bad(wrong) : paint.good(wrong)).c_str());
  for (const Outcome& outcome : outcomes) {
    if (!outcome.ok()) {
      std::printf("  wrong: %s: %s\n", std::string(outcome.expected->scenario).c_str(),
                  outcome.problems.front().c_str());
    }
  }
}

}  // namespace memfail::scenarios
