// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/order_command.h"

#include <iostream>
#include <nlohmann/json.hpp>

#include "sidecar/ctl/event_table.h"
#include "sidecar/ctl/line_socket.h"

namespace memfail::ctl {
namespace {

using nlohmann::json;

constexpr unsigned kMostSeconds = 600;

constexpr const char* kDrillFooter =
    "\nThe VM must allow drills (its VMM opts in at attach). Its thread raises the signal\n"
    "that the kernel would send; all that follows is the real way, with drill: true in\n"
    "the event. No memory breaks and no page is replaced, but the guest does what it\n"
    "does on a machine check: it gives the page up, ends the process that has it, and,\n"
    "where an action-required one meets its kernel, it may panic.\n"
    "\nExit status: 0 the event came, 1 it did not, or the VM refused.\n"
    "\nExamples:\n"
    "  memfailctl drill --vm db1 --gpa 0x3f000000 --kind ao --socket /run/memfaild/ctl.sock\n"
    "  memfailctl drill --vm db1 --gpa 0x3f000000 --kind ar --vcpu 2 --json "
    "--socket /run/memfaild/ctl.sock";

constexpr const char* kInjectFooter =
    "\nThe VM must allow injections (its VMM opts in at attach). As QEMU's `mce`: the same\n"
    "checks, the same branches, nothing remembered as broken; its event has reason\n"
    "operator-request where the guest was told.\n"
    "\nExit status: 0 the event came, 1 it did not, or the VM refused.\n"
    "\nExample, an action-required error at 0x3000 as Intel's processors record it:\n"
    "  memfailctl inject --vm db1 --cpu 0 --bank 9 --status 0xbd80000000000134 "
    "--mcg-status 7 \\\n"
    "      --addr 0x3000 --misc 0x8c --broadcast --socket /run/memfaild/ctl.sock";

int fail(const std::string& line) {
  std::cerr << "memfailctl: " << line << '\n';
  return 1;
}

void declare_common(CLI::App& command, OrderOptions& options) {
  command.add_option("--socket", options.socket, "The path given to memfaild as --ctl")
      ->required()
      ->type_name("PATH");
  command.add_option("--vm", options.vm, "Its name, uuid, or session")->required()->type_name("VM");
  command.add_option("--wait", options.wait_seconds, "How long for the event, 1 to 600")
      ->check(CLI::Range(1U, kMostSeconds).description(""))
      ->type_name("SECONDS")
      ->capture_default_str();
  command.add_flag("--json", options.as_json, "The lines as they come, one JSON object each");
}

CLI::Option* number(CLI::App& command, const char* name, auto& value, const char* about) {
  return command.add_option(name, value, about)->required()->type_name("N");
}

void show_accepted(const json& line, const OrderOptions& options) {
  if (options.as_json) return;
  const json& accepted = line["accepted"];
  std::cout << "VM '" << accepted.value("vm", "") << "' does it: incident " << accepted["sequence"]
            << " of lane " << accepted["lane"] << '\n'
            << std::flush;
}

// 0: the last line. None: more are to come.
std::optional<int> show_line(const std::string& text, const OrderOptions& options, bool colour) {
  const json line = json::parse(text, nullptr, false);
  if (!line.is_object()) return fail("the answer is not JSON; is this memfaild's --ctl socket?");
  if (line.contains("memfaild")) {
    return fail("'" + options.socket + "' is the events socket; give the path of --ctl");
  }
  if (line.contains("error")) return fail(line["error"].get<std::string>());
  if (options.as_json) std::cout << text << '\n' << std::flush;
  if (line.contains("accepted")) {
    show_accepted(line, options);
    return std::nullopt;
  }
  if (line.contains("event")) {
    EventTable table({.colour = colour, .width = 0});
    if (!options.as_json) std::cout << table.header() << table.row(line);
    return 0;
  }
  return fail("more of the same: it is counted in a later event of this page");
}

int run(const json& question, const OrderOptions& options, bool colour) {
  auto socket = LineSocket::open(options.socket);
  if (!socket) return fail(socket.error());
  socket->send(question.dump() + "\n");
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(options.wait_seconds);
  while (const auto text = socket->receive_until(limit)) {
    if (const auto status = show_line(*text, options, colour)) return *status;
  }
  if (std::chrono::steady_clock::now() < limit) return fail("memfaild closed the connection");
  return fail("no event within " + std::to_string(options.wait_seconds) +
              " s; memfailctl events shows it when it comes");
}

}  // namespace

void declare_drill(CLI::App& command, OrderOptions& options) {
  declare_common(command, options);
  number(command, "--gpa", options.gpa, "Guest physical address of a page in its RAM");
  command
      .add_option("--kind", options.kind,
                  "ar: the guest's access met it; ao: it went bad untouched")
      ->check(CLI::IsMember({"ar", "ao"}).description(""))
      ->required()
      ->type_name("ar|ao");
  command.add_option("--vcpu", options.vcpu, "Whose thread gets the signal")
      ->type_name("N")
      ->capture_default_str();
  command.footer(kDrillFooter);
}

void declare_inject(CLI::App& command, OrderOptions& options) {
  declare_common(command, options);
  number(command, "--cpu", options.cpu, "The vCPU");
  number(command, "--bank", options.bank, "The bank")->check(CLI::Range(0U, 255U).description(""));
  number(command, "--status", options.status, "MCi_STATUS; VAL, bit 63, must be set");
  number(command, "--mcg-status", options.mcg_status, "MCG_STATUS");
  number(command, "--addr", options.addr, "MCi_ADDR");
  number(command, "--misc", options.misc, "MCi_MISC");
  command.add_flag("--broadcast", options.broadcast, "Tell the other vCPUs too");
  command.footer(kInjectFooter);
}

int run_drill(const OrderOptions& options, bool colour) {
  return run({{"command", "drill"},
              {"vm", options.vm},
              {"gpa", options.gpa},
              {"kind", options.kind},
              {"vcpu", options.vcpu}},
             options, colour);
}

int run_inject(const OrderOptions& options, bool colour) {
  return run({{"command", "inject"},
              {"vm", options.vm},
              {"cpu", options.cpu},
              {"bank", options.bank},
              {"status", options.status},
              {"mcg-status", options.mcg_status},
              {"addr", options.addr},
              {"misc", options.misc},
              {"broadcast", options.broadcast}},
             options, colour);
}

}  // namespace memfail::ctl
