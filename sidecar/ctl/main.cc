// SPDX-License-Identifier: BSD-3-Clause
//
// memfailctl, the operator's command.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "sidecar/ctl/line_socket.h"
#include "sidecar/ctl/view.h"

namespace memfail::ctl {
namespace {

using nlohmann::json;

struct Options {
  std::string socket;
  bool as_json = false;
  bool follow = false;
  std::uint64_t since = 0;
  bool since_given = false;
  std::string vm;
};

bool on_terminal() { return ::isatty(STDOUT_FILENO) != 0; }

int fail(const std::string& line) {
  std::cerr << "memfailctl: " << line << '\n';
  return 1;
}

int show_status(const Options& options) {
  auto socket = LineSocket::open(options.socket);
  if (!socket) return fail(socket.error());
  socket->send("{\"command\":\"status\"}\n");
  const auto line = socket->receive();
  if (!line) return fail("'" + options.socket + "': memfaild closed the connection; try again");
  const json status = json::parse(*line, nullptr, false);
  if (!status.is_object()) return fail("the answer is not JSON; is this memfaild's --ctl socket?");
  if (status.contains("memfaild")) {
    return fail("'" + options.socket + "' is the events socket; give the path of --ctl");
  }
  if (status.contains("error")) return fail(status["error"].dump());
  std::cout << (options.as_json ? *line + "\n" : status_view(status, on_terminal()));
  return 0;
}

bool wanted(const json& event, const Options& options) {
  if (options.vm.empty()) return true;
  const json::json_pointer name("/data/memfail/vm/name");
  return event.contains(name) && event.at(name) == options.vm;
}

// 0: go on; else the status to exit with.
int show_notice(const json& notice) {
  if (notice.contains("error")) return fail(notice["error"].dump());
  if (notice.contains("gap")) {
    std::cerr << "memfailctl: events " << notice["gap"].value("from", std::uint64_t{0}) << " to "
              << notice["gap"].value("to", std::uint64_t{0}) << " are gone\n";
  }
  if (notice.contains("cut-off")) {
    return fail("this reader was too slow; go on with --since " + notice["resume-from"].dump());
  }
  return 0;
}

int show_events(const Options& options) {
  auto socket = LineSocket::open(options.socket);
  if (!socket) return fail(socket.error());
  json request{{"follow", options.follow}};
  // Without --follow: all there is. With it: from now on, unless asked otherwise.
  if (options.since_given || !options.follow) request["since"] = options.since;
  socket->send(request.dump() + "\n");
  while (const auto line = socket->receive()) {
    const json object = json::parse(*line, nullptr, false);
    if (!object.is_object()) return fail("a line is not JSON; is this memfaild's --events socket?");
    if (!object.contains("event")) {
      if (object.contains("error")) return fail("this is the ctl socket; give that of --events");
      if (const int status = show_notice(object.value("memfaild", json::object()))) return status;
      continue;
    }
    if (!wanted(object, options)) continue;
    std::cout << (options.as_json ? *line + "\n" : event_view(object, on_terminal())) << std::flush;
    if (!std::cout) return 1;
  }
  return options.follow ? fail("memfaild ended the stream") : 0;
}

void declare_events(CLI::App& events, Options& options) {
  events.add_option("--socket", options.socket, "The path given to memfaild as --events")
      ->required()
      ->type_name("PATH");
  events.add_flag("--follow", options.follow, "Wait for further events");
  events.add_option("--since", options.since, "Begin with this sequence number (0: all kept)")
      ->type_name("SEQ");
  events.add_option("--vm", options.vm, "Only this VM's events")->type_name("NAME");
  events.add_flag("--json", options.as_json, "As they come: one JSON object a line");
}

int run(int argc, char** argv) {
  CLI::App app("Shows what memfaild knows: its VMs, and the memory failures they met.",
               "memfailctl");
  app.set_version_flag("--version", std::string("memfailctl ") + MEMFAIL_VERSION);
  app.require_subcommand(1);
  app.footer(
      "\nExamples:\n"
      "  memfailctl status --socket /run/memfaild/ctl.sock\n"
      "  memfailctl events --follow --vm db1 --socket /run/memfaild/events.sock");
  Options options;
  CLI::App* status = app.add_subcommand("status", "The process, its sandbox, and its VMs");
  status->add_option("--socket", options.socket, "The path given to memfaild as --ctl")
      ->required()
      ->type_name("PATH");
  status->add_flag("--json", options.as_json, "The answer as it came");
  CLI::App* events = app.add_subcommand("events", "Memory failures, oldest first");
  declare_events(*events, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    return fail(std::string(error.what()) + "; see memfailctl --help");
  }
  options.since_given = events->count("--since") > 0;
  return status->parsed() ? show_status(options) : show_events(options);
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
