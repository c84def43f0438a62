// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/explain_command.h"

#include "sidecar/ctl/explain_json.h"
#include "sidecar/ctl/explain_text.h"

namespace memfail::ctl {
namespace {

constexpr const char* kFooter =
    "\nSay only what is unusual. Without options: the guest's own load from a broken page of\n"
    "its RAM, on Intel, with machine checks on, nothing under way, and all banks free.\n"
    "BANKS are 9, 0,3 or 2-5, a map like 0x208, or all.\n"
    "\nExamples:\n"
    "  memfailctl explain                       # the usual case: the guest is told\n"
    "  memfailctl explain --ao --vendor amd     # a page goes bad that nobody touched\n"
    "  memfailctl explain --cr4-mce no          # a guest that takes no machine checks\n"
    "  memfailctl explain --mcip                # a second one inside the guest's handler\n"
    "  memfailctl explain --banks-valid all     # nobody has read the guest's banks\n"
    "  memfailctl explain --thread other        # the VMM's own access, not the guest's\n"
    "  memfailctl explain --repeats 16          # the guest does not get on\n"
    "  memfailctl explain --smm --policy /etc/memfaild/policy.json --vm db1\n"
    "  memfailctl explain --mcip --rule untold=pause --json | jq .decision\n"
    "\nAll rules in one page: docs/decisions.md.";

void declare_report(CLI::App& command, Situation& s) {
  constexpr const char* kGroup = "The report";
  command.add_flag("--ar", s.required, "Action required: the access failed (the default)")
      ->group(kGroup);
  command.add_flag("--ao", s.optional, "Action optional: a page went bad, nobody touched it")
      ->group(kGroup);
  command.add_option("--code", s.code, "The signal's si_code: 4 is --ar, 5 --ao, 128 SI_KERNEL")
      ->type_name("N")
      ->group(kGroup);
  command
      .add_option("--kind", s.kind,
                  "sigbus, memory-fault-exit, mmio-exit (an emulated access), "
                  "remembered (an earlier one)")
      ->type_name("KIND")
      ->group(kGroup);
  command
      .add_option("--thread", s.thread,
                  "Who met it: vcpu-in-run (the guest), vcpu-outside, other (the VMM)")
      ->type_name("KIND")
      ->group(kGroup);
  command
      .add_option("--address", s.address,
                  "guest-ram, unmapped (RAM the guest cannot see), vmm, none (not known)")
      ->type_name("CLASS")
      ->group(kGroup);
  command.add_option("--gpa", s.gpa, "Where in guest-ram")->type_name("ADDRESS")->group(kGroup);
}

void declare_guest(CLI::App& command, Situation& s) {
  constexpr const char* kGroup = "The guest";
  command.add_option("--vendor", s.vendor, "intel, amd or unknown")
      ->type_name("VENDOR")
      ->group(kGroup);
  command.add_option("--mcg-cap", s.mcg_cap, "As the VMM configured it; QEMU: 0x100010a")
      ->type_name("BITS")
      ->group(kGroup);
  command.add_option("--ser-p", s.ser_p, "MCG_SER_P of it alone")
      ->type_name("yes|no")
      ->group(kGroup);
  command.add_option("--cpuid-1-eax", s.cpuid_1_eax, "Family and model: broadcast or not")
      ->type_name("BITS")
      ->group(kGroup);
  command
      .add_option("--cpuid-80000007-ebx", s.cpuid_80000007_ebx,
                  "AMD: 1 overflow recovery, 2 SUCCOR, 3 both")
      ->type_name("BITS")
      ->group(kGroup);
  command.add_option("--vcpus", s.vcpus, "How many")->type_name("N")->group(kGroup);
  command.add_flag("--paused", s.paused, "The VM does not run: paused, incoming or finished")
      ->group(kGroup);
}

void declare_vcpu(CLI::App& command, Situation& s) {
  constexpr const char* kGroup = "The vCPU's machine-check state";
  const auto flag = [&](const char* name, bool& into, const char* words) {
    command.add_flag(name, into, words)->group(kGroup);
  };
  const auto banks = [&](const char* name, std::string& into, const char* words) {
    command.add_option(name, into, words)->type_name("BANKS")->group(kGroup);
  };
  command.add_option("--cr4-mce", s.cr4_mce, "Whether the guest takes machine checks at all")
      ->type_name("yes|no")
      ->group(kGroup);
  flag("--mcip", s.mcip, "It handles one");
  flag("--mc-queued", s.mc_queued, "One waits for the next entry: the guest has not seen it");
  flag("--mcg-ctl-off", s.mcg_ctl_off, "MCG_CTL is not all ones");
  banks("--banks-valid", s.banks_valid, "These hold a record");
  banks("--banks-off", s.banks_off, "MCi_CTL of these is not all ones");
  banks("--cmci", s.cmci, "The guest enabled CMCI for these");
  flag("--lmce", s.lmce, "The guest enabled local machine checks");
  flag("--smm", s.smm, "In system management mode (CR4.MCE reads 0 there)");
  flag("--nested", s.nested, "A nested guest runs");
  flag("--double-fault", s.double_fault, "A #DF is queued");
  flag("--triple-fault", s.triple_fault, "A shutdown is pending");
  flag("--not-started", s.not_started, "Never started");
  flag("--no-snapshot", s.no_snapshot, "Its state could not be read");
}

void declare_page(CLI::App& command, Situation& s) {
  constexpr const char* kGroup = "The page's history";
  command.add_flag("--told", s.told, "The guest was told of it")->group(kGroup);
  command
      .add_option("--repeats", s.repeats,
                  "Action-required reports of it within repeat_seconds, this one included")
      ->type_name("N")
      ->group(kGroup);
}

void declare_choice(CLI::App& command, PolicyChoice& choice) {
  constexpr const char* kGroup = "Who decides";
  command.add_option("--policy", choice.policy, "recommended, qemu, or a policy file")
      ->type_name("NAME|FILE")
      ->group(kGroup);
  command.add_option("--vm", choice.vm, "The VM whose rules a file gives")
      ->type_name("NAME")
      ->group(kGroup);
  command
      .add_option("--rule", choice.rules, "Over what is built in, as untold=pause; may be repeated")
      ->type_name("MEMBER=VALUE")
      ->allow_extra_args(false)
      ->group(kGroup);
}

}  // namespace

void declare_explain(CLI::App& command, ExplainOptions& options) {
  declare_report(command, options.situation);
  declare_guest(command, options.situation);
  declare_vcpu(command, options.situation);
  declare_page(command, options.situation);
  declare_choice(command, options.policy);
  command.add_flag("--json", options.as_json, "One JSON object");
  command.footer(kFooter);
}

std::expected<std::string, std::string> explanation_of(const ExplainOptions& options, bool colour) {
  const auto input = input_of(options.situation);
  if (!input) return std::unexpected(input.error());
  const auto chosen = rules_of(options.policy);
  if (!chosen) return std::unexpected(chosen.error());
  const Comparison comparison = compare(chosen->rules, *input);
  if (!options.as_json) return explain_text(chosen->name, comparison, colour);
  using nlohmann::ordered_json;
  return explain_json(chosen->name, comparison)
             .dump(-1, ' ', false, ordered_json::error_handler_t::replace) +
         '\n';
}

}  // namespace memfail::ctl
