// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/story.h"

#include <algorithm>
#include <cstdio>
#include <functional>

#include "vmm_shim/reference/scenarios/judge.h"

namespace memfail::scenarios {
namespace {

void line(const std::string& label, const std::string& text) {
  std::printf("  %-9s %s\n", label.c_str(), text.c_str());
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// How long a list is told whole, and of a longer one its beginning and its end.
constexpr std::size_t kWhole = 40, kBeginning = 12, kEnd = 12;

// Tells `count` things with `tell(index)`, in a row or without those in the middle.
void tell_some(std::size_t count, const std::function<void(std::size_t)>& tell) {
  for (std::size_t at = 0; at < count; ++at) {
    if (count > kWhole && at == kBeginning) {
      at = count - kEnd;
      std::printf("  … %zu more …\n", at - kBeginning);
    }
    tell(at);
  }
}

// Microseconds since the moment something was done to the guest.
void tell_timeline(const Json& moments, const Paint& paint) {
  std::vector<Json> told = moments;
  std::erase_if(told, [](const Json& moment) { return moment["text"] == "the guest is ready"; });
  tell_some(told.size(), [&](std::size_t index) {
    const auto start = told.front()["at_us"].get<std::int64_t>();
    const auto at = told[index]["at_us"].get<std::int64_t>();
    char stamp[32];
    std::snprintf(stamp, sizeof(stamp), "%+8lld µs", static_cast<long long>(at - start));
    std::printf("  %s  %s\n", paint.faint(stamp).c_str(), text_of(told[index]["text"]).c_str());
  });
}

std::string where(const Json& details) {
  if (!details["gpa"].is_null()) {
    const std::string region = details["region"].is_null() ? "" : text_of(details["region"]) + ", ";
    return "guest page " + text_of(details["gpa"]) + " (" + region +
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
  const Json& count = data["memfail"]["count"];
  if (count != 1) text += ", for " + count.dump();
  return text + ", seq " + data["memfail"]["seq"].dump();
}

// Some stand for many incidents, or for none: those name no page, or no decision.
void tell_event(const Json& event) {
  const Json& details = event["data"]["memfail"];
  if (!details["gpa"].is_null() || details["verdict"] != "none") line("page", where(details));
  if (details["decided-by"] != "none") line("decided", decision(details));
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
  tell_some(banks.size(), [&](std::size_t at) { line("guest", guest_words(banks[at])); });
  if (banks.empty()) line("guest", "saw nothing");
}

// Of a row of the same the first are told.
void tell_events(const std::vector<Json>& events) {
  constexpr std::ptrdiff_t kTold = 3;
  for (auto at = events.begin(); at != events.end();) {
    const auto end = std::find_if(
        at, events.end(), [&](const Json& event) { return essence(event) != essence(*at); });
    const std::ptrdiff_t told = std::min(end - at, kTold);
    std::for_each(at, at + told, tell_event);
    if (end - at > told) line("event", "… and " + std::to_string(end - at - told) + " more");
    at = end;
  }
}

std::string why_no_event(const Outcome& outcome) {
  const bool absent = outcome.expected->drive == Drive::kAbsent;
  return absent ? "none: no sidecar is there to make one" : "none";
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
    if (outcome.events.empty()) line("event", why_no_event(outcome));
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
