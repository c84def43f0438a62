// SPDX-License-Identifier: BSD-3-Clause
//
// memfailctl, the operator's command.
#include <CLI/CLI.hpp>
#include <expected>
#include <iostream>
#include <nlohmann/json.hpp>

#include "sidecar/ctl/events_command.h"
#include "sidecar/ctl/explain_command.h"
#include "sidecar/ctl/journal_check.h"
#include "sidecar/ctl/line_socket.h"
#include "sidecar/ctl/order_command.h"
#include "sidecar/ctl/policy_check.h"
#include "sidecar/ctl/policy_load.h"
#include "sidecar/ctl/terminal.h"
#include "sidecar/ctl/view.h"

namespace memfail::ctl {
namespace {

using nlohmann::json;

struct Options {
  std::string socket;
  bool as_json = false;
  std::string vm;
  std::string policy_file;
  std::string journal;
};

int fail(const std::string& line) {
  std::cerr << "memfailctl: " << line << '\n';
  return 1;
}

// One question and its answer; the error is a line for a person.
std::expected<json, std::string> ask(const Options& options, const json& question) {
  auto socket = LineSocket::open(options.socket);
  if (!socket) return std::unexpected(socket.error());
  socket->send(question.dump() + "\n");
  const auto line = socket->receive();
  if (!line) {
    return std::unexpected("'" + options.socket + "': memfaild closed the connection; try again");
  }
  json answer = json::parse(*line, nullptr, false);
  if (!answer.is_object()) {
    return std::unexpected("the answer is not JSON; is this memfaild's --ctl socket?");
  }
  if (answer.contains("memfaild")) {
    return std::unexpected("'" + options.socket + "' is the events socket; give the path of --ctl");
  }
  if (answer.contains("error")) return std::unexpected(answer["error"].get<std::string>());
  return answer;
}

// Asks, and shows the answer: as JSON, or as `view` has it for people.
template <typename View>
int show(const Options& options, const json& question, View view) {
  const auto answer = ask(options, question);
  if (!answer) return fail(answer.error());
  std::cout << (options.as_json ? answer->dump() + "\n" : view(*answer));
  return 0;
}

int show_status(const Options& options) {
  return show(options, {{"command", "status"}},
              [](const json& answer) { return status_view(answer, use_colour()); });
}

int show_pages(const Options& options) {
  return show(options, {{"command", "pages"}, {"vm", options.vm}},
              [](const json& answer) { return pages_view(answer, use_colour()); });
}

int show_policy(const Options& options) {
  return show(options, {{"command", "policy-show"}, {"vm", options.vm}},
              [](const json& answer) { return answer.value("text", ""); });
}

int load_policy(const Options& options) {
  const auto question = policy_to_load(options.policy_file);
  if (!question) return fail(question.error());
  return show(options, *question, [](const json& answer) {
    return "policy " + answer.value("policy", "") + " is in force, digest " +
           answer.value("digest", "") + "\n";
  });
}

int show_explanation(const ExplainOptions& options) {
  const auto text = explanation_of(options, use_colour());
  if (!text) return fail(text.error());
  std::cout << *text;
  return 0;
}

constexpr const char* kPolicyFooter =
    "\nA policy file is JSON (// and /* */ comments are fine). The smallest that changes\n"
    "something, for all VMs whose name begins with db:\n"
    "  {\n"
    "    \"version\": 1,\n"
    "    \"vms\": [{\"name\": \"db*\", \"untold\": \"pause\"}]\n"
    "  }\n"
    "The first of `vms` whose name matches decides (* is any text, ? any one character);\n"
    "what it does not give comes from `default`, and what that does not give is built in.\n"
    "\nExamples:\n"
    "  memfailctl policy check /etc/memfaild/policy.json\n"
    "  memfailctl policy check --json policy.json | jq .errors";

void declare_socket(CLI::App& command, Options& options) {
  command.add_option("--socket", options.socket, "The path given to memfaild as --ctl")
      ->required()
      ->type_name("PATH");
}

void declare_policy(CLI::App& policy, Options& options) {
  policy.require_subcommand(1);
  policy.footer(kPolicyFooter);
  CLI::App* check = policy.add_subcommand(
      "check", "Is this file a policy? What is wrong and where, or what it changes");
  check->add_option("FILE", options.policy_file, "The policy, as given to memfaild --policy")
      ->required()
      ->type_name("");
  check->add_flag("--json", options.as_json, "One JSON object");
  check->footer(
      "\nExit status: 0 memfaild would take it, 1 it would not: a line on stderr for each\n"
      "error, with file, line, column, the member, its value and what it must be.");
  CLI::App* show = policy.add_subcommand("show", "What decides for this VM now");
  declare_socket(*show, options);
  show->add_option("VM", options.vm, "The VM's name")->required()->type_name("");
  show->add_flag("--json", options.as_json, "One JSON object");
  CLI::App* load = policy.add_subcommand(
      "load", "Puts this policy in force at once for all VMs, or changes nothing");
  declare_socket(*load, options);
  load->add_option("FILE", options.policy_file, "A policy file")->required()->type_name("");
  load->add_flag("--json", options.as_json, "One JSON object");
  load->footer("\nAn event records the change with the policy's digest.");
}

void declare_journal(CLI::App& journal, Options& options) {
  journal.require_subcommand(1);
  journal.footer(
      "\nBoth read the files of DIR only, and work beside a memfaild that is writing them.\n"
      "\nExamples:\n"
      "  memfailctl journal verify /var/lib/memfaild/journal\n"
      "  memfailctl journal dump /var/lib/memfaild/journal | jq 'select(.event)'");
  const auto directory = [&](CLI::App& command) {
    command.add_option("DIR", options.journal, "The directory given to memfaild as --journal")
        ->required()
        ->type_name("");
  };
  CLI::App* verify = journal.add_subcommand("verify", "What of each file is whole");
  directory(*verify);
  verify->add_flag("--json", options.as_json, "One JSON object");
  verify->footer(
      "\nExit status: 0 whole, or not more missing than a power cut explains; 1 damaged, or not\n"
      "to be read.");
  directory(*journal.add_subcommand("dump", "Every record as a line of JSON, oldest first"));
}

int run(int argc, char** argv) {
  CLI::App app("Shows what memfaild knows: its VMs, and the memory failures they met.",
               "memfailctl");
  app.set_version_flag("--version", std::string("memfailctl ") + MEMFAIL_VERSION);
  app.require_subcommand(1);
  app.footer(
      "\nExamples:\n"
      "  memfailctl status --socket /run/memfaild/ctl.sock\n"
      "  memfailctl events --follow --vm db1 --socket /run/memfaild/events.sock\n"
      "  memfailctl policy check /etc/memfaild/policy.json\n"
      "  memfailctl explain --ao --vendor amd\n"
      "  memfailctl drill --vm db1 --gpa 0x3f000000 --kind ao --socket /run/memfaild/ctl.sock");
  Options options;
  CLI::App* status = app.add_subcommand("status", "The process, its sandbox, and its VMs");
  declare_socket(*status, options);
  status->add_flag("--json", options.as_json, "The answer as it came");
  CLI::App* pages = app.add_subcommand("pages", "The pages that are known to be broken");
  declare_socket(*pages, options);
  pages->add_option("--vm", options.vm, "Only this VM's")->type_name("NAME");
  pages->add_flag("--json", options.as_json, "The answer as it came");
  CLI::App* events = app.add_subcommand("events", "Memory failures, oldest first");
  EventsOptions reading;
  declare_events(*events, reading);
  CLI::App* policy = app.add_subcommand("policy", "What becomes of which VM's memory failures");
  declare_policy(*policy, options);
  CLI::App* explain = app.add_subcommand(
      "explain", "What would become of such a memory failure, and why? Asks no memfaild");
  ExplainOptions question;
  declare_explain(*explain, question);
  CLI::App* drill = app.add_subcommand(
      "drill", "Has a VM go through a memory failure, with memory that is whole");
  CLI::App* inject = app.add_subcommand("inject", "Makes a machine check in a VM, as QEMU's mce");
  OrderOptions order;
  declare_drill(*drill, order);
  declare_inject(*inject, order);
  CLI::App* journal = app.add_subcommand("journal", "The records on disk. Asks no memfaild");
  declare_journal(*journal, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    return fail(std::string(error.what()) + "; see memfailctl --help");
  }
  if (policy->got_subcommand("check")) {
    return check_policy(options.policy_file, options.as_json, use_colour());
  }
  if (policy->got_subcommand("show")) return show_policy(options);
  if (policy->got_subcommand("load")) return load_policy(options);
  if (drill->parsed()) return run_drill(order, use_colour());
  if (inject->parsed()) return run_inject(order, use_colour());
  if (explain->parsed()) return show_explanation(question);
  if (journal->got_subcommand("verify")) {
    return verify_journal(options.journal, options.as_json, use_colour());
  }
  if (journal->got_subcommand("dump")) return dump_journal(options.journal);
  if (pages->parsed()) return show_pages(options);
  return status->parsed() ? show_status(options) : show_events(reading);
}

}  // namespace
}  // namespace memfail::ctl

int main(int argc, char** argv) {
  try {
    return memfail::ctl::run(argc, argv);
  } catch (const std::exception& error) {  // a member of an unexpected type
    std::cerr << "memfailctl: unexpected answer: " << error.what() << '\n';
    return 1;
  }
}
