// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/director.h"

#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <thread>

#include "vmm_shim/reference/scenarios/asking.h"
#include "vmm_shim/reference/scenarios/operator.h"

namespace memfail::scenarios {
namespace {

constexpr auto kScenarioLimit = std::chrono::seconds(60);
constexpr auto kEventLimit = std::chrono::seconds(10);
constexpr auto kQuiet = std::chrono::milliseconds(50);  // and no event: no more come
constexpr int kMeantAbort = 70;
constexpr auto kGlance = std::chrono::milliseconds(1);

std::string vm_name(const Expectation& expected, unsigned turn) {
  return std::string(expected.scenario) + "-" + std::to_string(turn);
}

std::vector<std::string> command(const Expectation& expected, const std::string& name,
                                 const Stagehand& hand, const Sidecar& sidecar) {
  const bool absent = expected.drive == Drive::kAbsent;
  std::vector<std::string> words{hand.vmm,
                                 "--scenario",
                                 std::string(expected.scenario),
                                 "--socket",
                                 absent ? hand.folder + "/nobody" : sidecar.socket(),
                                 "--poison",
                                 hand.poison,
                                 "--policy",
                                 hand.policy,
                                 "--name",
                                 name};
  const bool ordered = expected.drive == Drive::kOrdered;
  if (ordered) words.insert(words.end(), {"--allow-drills", "--allow-injections"});
  if (expected.drive == Drive::kKilled || expected.drive == Drive::kSilent || ordered) {
    words.emplace_back("--hold");
  }
  return words;
}

void go_on(const Child& vmm) { (void)!write(vmm.input(), "\n", 1); }

// What one scenario is played with.
struct Cast {
  const Expectation& expected;
  const std::string& name;  // of the VM
  Sidecar& sidecar;
  std::optional<Operator> who_asks = {};
};

// At the VMM's two holds: before anything breaks, and when all is over.
void at_hold(Cast& cast, bool before) {
  const Drive drive = cast.expected.drive;
  Sidecar& sidecar = cast.sidecar;
  if (drive == Drive::kOrdered) {
    if (before) cast.who_asks.emplace(sidecar.ctl(), cast.expected.order, cast.name);
  } else if (before) {
    sidecar.suspend();
  } else {
    drive == Drive::kKilled ? sidecar.start() : sidecar.resume();
  }
}

// Between them: SIGKILL while somebody waits for it. It is stopped until then, so
// the wait lasts as long as the shim's deadline: many glances.
void kill_when_asked(pid_t vmm, Sidecar& sidecar, Clock::time_point limit) {
  while (!is_asking(vmm) && Clock::now() < limit) std::this_thread::sleep_for(kGlance);
  sidecar.kill();
}

// Reads the VMM's output to its result line.
Json watch(Cast& cast, const Child& vmm, Clock::time_point limit) {
  LineReader reader(vmm.output());
  while (const auto line = reader.next(limit)) {
    Json json = Json::parse(*line, nullptr, false);
    if (!json.is_object() || !json.contains("holding")) return json;
    const bool before = json["holding"] == "before";
    at_hold(cast, before);
    go_on(vmm);
    if (before && cast.expected.drive == Drive::kKilled) {
      kill_when_asked(vmm.pid(), cast.sidecar, limit);
    }
  }
  return {};
}

void check_exit(Outcome& outcome, std::optional<int> status, const std::string& log) {
  const bool aborted = outcome.vmm.is_object() && outcome.vmm.value("vm", "") == "aborted";
  if (status && *status == (aborted ? kMeantAbort : 0) && outcome.vmm.is_object()) return;
  const std::string how = status ? "ended with status " + std::to_string(*status) : "is stuck";
  outcome.problems.push_back("memfail-vmm " + how + " (see " + log + ")");
  if (!outcome.vmm.is_object()) outcome.vmm = Json::object();
  for (const Json& missed : outcome.vmm.value("missed", Json::array())) {
    outcome.problems.push_back("waited in vain for " + missed.get<std::string>());
  }
}

}  // namespace

Outcome play(const Expectation& expected, unsigned turn, const Stagehand& hand, Sidecar& sidecar) {
  Outcome outcome;
  outcome.expected = &expected;
  const std::string name = vm_name(expected, turn);
  const auto limit = Clock::now() + kScenarioLimit;
  Child vmm({command(expected, name, hand, sidecar), hand.log, {}});
  Cast cast{expected, name, sidecar};
  outcome.vmm = watch(cast, vmm, limit);
  check_exit(outcome, vmm.wait_until(limit), hand.log);
  outcome.unsupported = outcome.vmm.value("unsupported", "");
  if (outcome.unsupported.empty()) {
    sidecar.events().read_until(name, expected.events.size(), Clock::now() + kEventLimit);
    sidecar.events().read_until_quiet(kQuiet);
  }
  outcome.events = sidecar.events().events_of(name);
  if (cast.who_asks) outcome.operator_told = cast.who_asks->told_before(Clock::now() + kEventLimit);
  return outcome;
}

}  // namespace memfail::scenarios
