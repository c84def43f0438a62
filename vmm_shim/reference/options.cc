// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/options.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "vmm_shim/reference/exit.h"
#include "vmm_shim/reference/scenario.h"

namespace memfail::reference {
namespace {

constexpr unsigned kMaxVcpus = 64;

constexpr const char* kAbout =
    "A small KVM VMM that shows how a VMM uses libmemfail-shim.\n"
    "It runs a tiny guest, lets one thing go wrong with its memory, and prints, as\n"
    "one JSON object, what the guest saw and what became of the VM. For example:\n\n"
    "  memfaild --socket-path /tmp/s --events /tmp/e &\n"
    "  memfail-vmm --socket /tmp/s --scenario ar-guest-ram\n";

constexpr const char* kExits =
    "Exit status: 0 the scenario was played (or this host cannot play it, and the\n"
    "JSON says why); 1 it got stuck, or the command line is wrong; 70 a failure in\n"
    "the VMM's own memory ended it, as some scenarios mean it to; 77 no /dev/kvm.";

const std::map<std::string, RamKind> kRam{
    {"anon", RamKind::kAnonymous}, {"memfd", RamKind::kMemfd}, {"hugetlb", RamKind::kHugetlb}};
const std::map<std::string, PoisonKind> kPoison{{"signal", PoisonKind::kSignal},
                                                {"hwpoison", PoisonKind::kHwpoison}};
const std::map<std::string, Vendor> kVendor{{"intel", Vendor::kIntel}, {"amd", Vendor::kAmd}};
const std::map<std::string, memfail_fallback> kFallback{{"builtin", MEMFAIL_FALLBACK_BUILTIN},
                                                        {"vmm", MEMFAIL_FALLBACK_VMM},
                                                        {"abort", MEMFAIL_FALLBACK_ABORT}};

void list_scenarios() {
  for (const Scenario& scenario : scenarios()) {
    std::printf("%-24s %s\n", std::string(scenario.name).c_str(),
                std::string(scenario.summary).c_str());
  }
  std::exit(0);
}

std::array<std::uint8_t, 16> parse_uuid(std::string text) {
  std::erase(text, '-');
  if (text.size() != 32 || text.find_first_not_of("0123456789abcdefABCDEF") != text.npos) {
    die("--uuid \"" + text + "\" is not 32 hexadecimal digits");
  }
  std::array<std::uint8_t, 16> uuid{};
  for (std::size_t at = 0; at < uuid.size(); ++at) {
    uuid[at] = static_cast<std::uint8_t>(std::stoul(text.substr(at * 2, 2), nullptr, 16));
  }
  return uuid;
}

void add_vm(CLI::App& app, Options& options, std::string& uuid) {
  app.add_option("--vcpus", options.vcpus, "Number of vCPUs; default: what the scenario needs")
      ->check(CLI::Range(1u, kMaxVcpus));
  app.add_option("--ram", options.ram, "Backing of the RAM that breaks: anon, memfd, hugetlb")
      ->transform(CLI::CheckedTransformer(kRam).description(""));
  app.add_option("--vendor", options.vendor, "What the guest's CPUs are: intel (default) or amd")
      ->transform(CLI::CheckedTransformer(kVendor).description(""));
  app.add_option("--name", options.name, "Name of the VM, for people")->capture_default_str();
  app.add_option("--uuid", uuid, "UUID of the VM");
}

void add_failure_handling(CLI::App& app, Options& options, std::string& policy) {
  app.add_option("--socket", options.socket, "memfaild's socket")->capture_default_str();
  app.add_option("--policy", policy,
                 "What the sidecar decides by: recommended (default) or qemu. The VMM does not "
                 "ask; the scenario needs to know what to wait for")
      ->check(CLI::IsMember({"recommended", "qemu"}));
  app.add_option("--deadline-ms", options.deadline_ms, "How long a verdict is waited for")
      ->check(CLI::Range(1u, 500u))
      ->capture_default_str();
  app.add_option("--fallback", options.fallback,
                 "Who decides without a sidecar: builtin (default), vmm, abort")
      ->transform(CLI::CheckedTransformer(kFallback).description(""));
  app.add_flag("--allow-drills", options.allow_drills, "Let operators drill (memfailctl drill)");
  app.add_flag("--allow-injections", options.allow_injections,
               "Let operators make machine checks (memfailctl inject)");
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  std::string uuid(32, '0');
  CLI::App app(kAbout);
  app.footer(kExits);
  app.add_option("--scenario", options.scenario, "What goes wrong; --list names them");
  app.add_flag_callback("--list", list_scenarios, "Names the scenarios and exits");
  app.add_option("--poison", options.poison,
                 "signal (default): raise the kernel's exact SIGBUS in this process; "
                 "hwpoison: break pages for real (root, CONFIG_MEMORY_FAILURE)")
      ->transform(CLI::CheckedTransformer(kPoison).description(""));
  add_vm(app, options, uuid);
  std::string policy = "recommended";
  add_failure_handling(app, options, policy);
  app.add_option("--json", options.json, "Where the result goes; -: standard output");
  app.add_flag("--hold", options.hold,
               "Say {\"holding\":\"before\"} when the guest is ready and \"after\" when all is "
               "over, each time wait for a line on standard input; end with a sidecar attached");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : kExitFailure);
  }
  if (options.scenario.empty()) die("--scenario is missing; --list names them, --help explains");
  options.uuid = parse_uuid(uuid);
  options.parity = policy == "qemu";
  return options;
}

}  // namespace memfail::reference
