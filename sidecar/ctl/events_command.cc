// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/events_command.h"

#include <unistd.h>

#include <iostream>
#include <utility>

#include "sidecar/ctl/event_reader.h"
#include "sidecar/ctl/event_table.h"
#include "sidecar/ctl/terminal.h"

namespace memfail::ctl {
namespace {

using nlohmann::json;

constexpr const char* kFooter =
    "\nWithout --follow: all events that memfaild still has, oldest first, then the end.\n"
    "With it: from now on (or from --since on), for ever: it goes on by itself where it was\n"
    "when memfaild was restarted, or was quicker than this reader. Nothing is shown twice;\n"
    "what cannot be had any more is said as a gap, on stderr like all that is no event.\n"
    "\nExamples:\n"
    "  memfailctl events --socket /run/memfaild/events.sock            # what happened so far\n"
    "  memfailctl events --follow --socket /run/memfaild/events.sock   # what happens\n"
    "  memfailctl events --vm 'db*' --action reset,fatal --socket …    # the bad ones of these\n"
    "  memfailctl events --follow --since 0 --json --socket … | jq -c .data\n"
    "  memfailctl events --since 118 --journal 5f0c… --json --socket … # go on after seq 117\n"
    "\nExit status: 0 all was shown; 1 nothing to be had, or the request was refused (one line\n"
    "on stderr says why); 2 shown, but not all: there was a gap, or memfaild went away before\n"
    "the end.";

// What is said beside the events goes to stderr: a pipe gets events alone.
class Screen final : public EventSink {
 public:
  explicit Screen(const EventsOptions& options)
      : table_({use_colour(options.colour), terminal_width()}),
        as_json_(options.as_json),
        follow_(options.follow) {}

  void connected(std::uint64_t next_seq) override {
    if (std::exchange(announced_, true) || as_json_) return;
    if (follow_ && ::isatty(STDOUT_FILENO) != 0) {
      std::cerr << "memfailctl: the next event is " << next_seq << "; Ctrl-C ends\n";
    }
  }

  bool event(std::string_view line, const json& event) override {
    if (as_json_) {
      std::cout << line << '\n';
    } else {
      if (!std::exchange(any_, true)) std::cout << table_.header();
      std::cout << table_.row(event);
    }
    return static_cast<bool>(std::cout << std::flush);
  }

  void notice(const std::string& words) override { std::cerr << "memfailctl: " << words << '\n'; }

  bool empty() const { return !any_ && !as_json_; }

 private:
  EventTable table_;
  bool as_json_;
  bool follow_;
  bool announced_ = false;
  bool any_ = false;
};

json filters_of(const EventsOptions& options) {
  json filters = json::object();
  if (!options.vms.empty()) filters["vm"] = options.vms;
  if (!options.actions.empty()) filters["action"] = options.actions;
  if (!options.reasons.empty()) filters["reason"] = options.reasons;
  return filters;
}

}  // namespace

void declare_events(CLI::App& command, EventsOptions& options) {
  command.add_option("--socket", options.socket, "The path given to memfaild as --events")
      ->required()
      ->type_name("PATH");
  command.add_flag("--follow", options.follow, "Wait for further events, for ever");
  command.add_option("--since", options.since, "Begin with this sequence number (0: all kept)")
      ->type_name("SEQ");
  command
      .add_option("--journal", options.journal,
                  "The journal that --since is of: of another one all events are shown")
      ->needs("--since")
      ->type_name("ID");
  command
      .add_option("--vm", options.vms,
                  "Only this VM's: a name (* and ? stand for others), a uuid, a session id; may "
                  "be repeated")
      ->allow_extra_args(false)
      ->type_name("VM");
  command
      .add_option("--action", options.actions,
                  "Only these actions, with commas between: ignore, inject, fatal, reset")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("ACTION");
  command
      .add_option("--reason", options.reasons,
                  "Only these reasons, with commas between, as --json shows them")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("REASON");
  command.add_flag("--json", options.as_json, "As they come: one JSON object a line");
  command
      .add_option("--color", options.colour,
                  "auto (on a terminal, unless NO_COLOR is set), always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->type_name("WHEN");
  command.footer(kFooter);
}

int show_events(const EventsOptions& options) {
  std::optional<std::uint64_t> since = options.since;
  if (!since && !options.follow) since = 0;
  Screen screen(options);
  EventReader reader({options.socket, options.follow, filters_of(options)},
                     EventPlace(since, options.journal), screen);
  const ReadStatus status = reader.run();
  if (status == ReadStatus::kAll && screen.empty()) std::cerr << "memfailctl: no such event\n";
  return static_cast<int>(status);
}

}  // namespace memfail::ctl
