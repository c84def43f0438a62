// SPDX-License-Identifier: BSD-3-Clause
//
// memfail-bench: how long the way from a signal to a verdict, and to a machine check
// in the guest, takes, beside the least it could take and beside QEMU's way. Nothing
// here judges a time: the figures are for people.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "tests/bench/measures.h"
#include "tests/bench/subject.h"

namespace {

namespace bench = memfail::bench;

constexpr std::uint32_t kDefaultRounds = 20000;
constexpr std::uint32_t kMaxRounds = 10'000'000;

constexpr const char* kAbout =
    "Measures memfaild in nanoseconds: median, p99, p99.9, and the ratio of the medians\n"
    "to a yardstick that was measured in turns with it.\n\n"
    "  eventfd-round-trip   the floor: another process answers through two eventfds\n"
    "  signal-to-verdict    a real SIGBUS, the real shim, the real memfaild, no KVM;\n"
    "                       beside the floor\n"
    "  question-to-verdict  that without the signal: from the snapshot's commit on\n"
    "  signal-to-injection  the same with a real vCPU, until the machine check is read\n"
    "                       back; beside QEMU's ioctls for an injection (needs /dev/kvm)\n\n"
    "Each on the same core, on two cores, and on two cores that a niced loop keeps busy.\n"
    "Counts are per round, but slices, unanswered and fallbacks: those are totals, and 0\n"
    "unless something is wrong. Leave the machine alone meanwhile.";

std::string default_memfaild() {
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  return (self.parent_path() / "../../sidecar/memfaild").lexically_normal();
}

bench::Report measure(const bench::Options& options, const std::string& only) {
  bench::Report report;
  // The verdict measures its own floor, in turns.
  if (only == bench::kFloorName) bench::measure_floor(options, report);
  if (only.empty() || only == bench::kVerdictName) bench::measure_verdict(options, report);
  if (only.empty() || only == bench::kInjectionName) bench::measure_injection(options, report);
  return report;
}

}  // namespace

int main(int argc, char** argv) try {
  bench::Options options{{}, kDefaultRounds, default_memfaild()};
  std::string only;
  bool json = false;
  CLI::App app(kAbout, "memfail-bench");
  app.add_flag("--json", json, "One JSON object on stdout instead of a table");
  app.add_option("--rounds", options.rounds, "How often each is done, in each placement")
      ->check(CLI::Range(1U, kMaxRounds))
      ->capture_default_str();
  app.add_option_function<std::uint32_t>(
         "--pause-us", memfail::bench::set_pause_us,
         "Pause before each round (default 50, as rare as failures are: cold caches, idle\n"
         "core); 0: round after round")
      ->check(CLI::Range(0U, 1000U));
  app.add_option("--memfaild", options.memfaild, "The sidecar to measure")->capture_default_str();
  app.add_option("--only", only, "Measure only this one")
      ->check(CLI::IsMember({bench::kFloorName, bench::kVerdictName, bench::kInjectionName}));
  CLI11_PARSE(app, argc, argv);
  bench::end_on_signals();
  const bench::Report report = measure(options, only);
  json ? bench::print_json(std::cout, report) : bench::print_table(std::cout, report);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "memfail-bench: " << error.what() << "\n";
  return 1;
}
