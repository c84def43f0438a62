// SPDX-License-Identifier: BSD-3-Clause
//
// memfail-vmm: plays one scenario.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "vmm_shim/reference/exit.h"
#include "vmm_shim/reference/guest.h"
#include "vmm_shim/reference/last_words.h"
#include "vmm_shim/reference/options.h"
#include "vmm_shim/reference/result.h"
#include "vmm_shim/reference/scenario.h"
#include "vmm_shim/reference/stage.h"
#include "vmm_shim/reference/unsupported.h"

namespace memfail::reference {
namespace {

constexpr int kReattachLimitMs = 20'000;

const Scenario& must_find(const std::string& name) {
  const Scenario* scenario = find_scenario(name);
  if (!scenario) die("no scenario \"" + name + "\"; --list names them");
  return *scenario;
}

int open_output(const std::string& path) {
  if (path == "-") return STDOUT_FILENO;
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) die(path + ": " + std::strerror(errno));
  return fd;
}

void print(int fd, const Json& json) {
  const std::string line = json.dump() + "\n";
  if (write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) die("write");
}

VmmConfig vmm_config(const Options& options, const Needs& needs) {
  VmmConfig config;
  config.failures.socket_path = options.socket;
  config.failures.name = options.name;
  config.failures.uuid = options.uuid;
  config.failures.cpu = cpu_model(needs.vendor.value_or(options.vendor.value_or(Vendor::kIntel)));
  if (!needs.amd_recovery) config.failures.cpu.cpuid_80000007_ebx = 0;
  config.failures.mcg_cap_configured = (kMcgCap | needs.mcg_cap) & ~needs.mcg_cap_off;
  config.failures.vcpus = std::max(needs.vcpus, options.vcpus.value_or(1));
  config.failures.deadline_ms = std::max(needs.deadline_ms, options.deadline_ms);
  config.failures.fallback = options.fallback;
  if (options.allow_drills) config.failures.allow |= MEMFAIL_ALLOW_DRILLS;
  if (options.allow_injections) config.failures.allow |= MEMFAIL_ALLOW_INJECTIONS;
  config.ram = needs.ram.value_or(options.ram.value_or(RamKind::kAnonymous));
  config.not_started = needs.not_started;
  config.mce_enabled = needs.mce_enabled;
  return config;
}

// Lets a driver do something to the sidecar at this moment.
void hold(int output, const char* moment) {
  print(output, {{"holding", moment}});
  char line[16];
  if (read(STDIN_FILENO, line, sizeof(line)) <= 0) die("--hold: standard input has ended");
}

int play(const Scenario& scenario, const Options& options, int output, Memory test_region) {
  set_early_kill(false);  // inherited by every thread: each scenario says who is told early
  Vmm vmm(vmm_config(options, scenario.needs), std::move(test_region));
  const std::string no_sidecar = vmm.start();
  std::string so_far = describe(vmm, scenario, no_sidecar).dump();
  so_far.pop_back();  // the closing brace
  prepare_last_words(output, so_far);

  if (options.hold) hold(output, "before");
  Stage stage(vmm, options.poison, options.parity);
  scenario.play(stage);
  if (options.hold) {
    hold(output, "after");
    vmm.run_until([&] { return vmm.failures().attached(); }, kReattachLimitMs);
  }
  stage.vmm().stop();

  Json result = describe(vmm, scenario, no_sidecar);
  if (&stage.vmm() != &vmm) append(result, describe(stage.vmm(), scenario, no_sidecar));
  result["vm"] = name_of(stage.vmm().state());
  result["missed"] = stage.missed();
  print(output, result);
  return stage.missed().empty() ? 0 : kExitFailure;
}

int run(const Options& options) {
  const Scenario& scenario = must_find(options.scenario);
  const int output = open_output(options.json);
  std::string unsupported = why_unsupported(scenario, options.poison);
  auto memory = Memory::make(vmm_config(options, scenario.needs).ram, GUEST_TEST_SIZE);
  if (unsupported.empty() && !memory) unsupported = memory.error();
  if (!unsupported.empty()) {
    print(
        output,
        {{"scenario", scenario.name}, {"summary", scenario.summary}, {"unsupported", unsupported}});
    return 0;
  }
  return play(scenario, options, output, std::move(*memory));
}

}  // namespace
}  // namespace memfail::reference

int main(int argc, char** argv) {
  return memfail::reference::run(memfail::reference::parse_options(argc, argv));
}
