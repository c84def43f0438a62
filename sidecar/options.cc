// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/options.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <string_view>

namespace memfail {
namespace {

// As given.
struct Given {
  Options options;
  std::string sandbox = "auto";
  std::string seccomp = "kill";
};

constexpr const char* kAbout =
    "Decides what becomes of broken memory pages of KVM virtual machines.\n"
    "A VMM connects, forwards each SIGBUS of its guest's memory, and is told what to do.";

constexpr const char* kFooter =
    "\nExample:\n"
    "  memfaild --socket-path /run/memfaild/vm.sock --events /run/memfaild/events.sock \\\n"
    "           --ctl /run/memfaild/ctl.sock\n"
    "  memfailctl events --follow --socket /run/memfaild/events.sock\n"
    "  memfailctl status --socket /run/memfaild/ctl.sock\n"
    "\n"
    "One process serves any number of VMs, stays in the foreground, and ends on SIGTERM.\n"
    "It exits with 1, and one line on stderr, if it cannot start.";

void declare(CLI::App& app, Given& given) {
  Options& options = given.options;
  app.set_version_flag("--version", std::string("memfaild ") + MEMFAIL_VERSION);
  app.footer(kFooter);
  auto* path = app.add_option("--socket-path", options.socket_path,
                              "Listen for VMMs on this Unix socket (at most 107 bytes)");
  auto* fd = app.add_option("--fd", options.fd,
                            "Serve the one VMM at the other end of this connected socket");
  path->type_name("PATH")->excludes(fd);
  fd->type_name("N")->check(CLI::NonNegativeNumber);
  app.add_option("--events", options.events, "Publish events here, as JSON Lines")
      ->type_name("PATH");
  app.add_option("--ctl", options.ctl, "Answer memfailctl here")->type_name("PATH");
  app.add_option("--journal", options.journal.directory,
                 "Keep incidents on disk in this directory (made for this alone)")
      ->type_name("DIR");
  app.add_option("--journal-files", options.journal.geometry.files,
                 "How many files the journal has when it is made; the oldest is used again")
      ->type_name("N")
      ->check(CLI::Range(journal::kMinFiles, journal::kMaxFiles))
      ->capture_default_str();
  app.add_option("--journal-size", options.journal.geometry.file_size,
                 "How large each of them is, in bytes or as 4MiB")
      ->type_name("SIZE")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  app.add_option("--front", options.journal.front,
                 "What survives memfaild's own death stands in this file, on a tmpfs;\n"
                 "by default beside the socket, if that is on one")
      ->type_name("FILE");
  app.add_option("--front-size", options.journal.front_size, "Its size, in bytes or as 4MiB")
      ->type_name("SIZE")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  app.add_option("--policy", options.policy,
                 "A policy file (memfailctl policy --help), or one that is built in")
      ->type_name("FILE|recommended|qemu")
      ->capture_default_str();
  app.add_option("--sandbox", given.sandbox,
                 "auto: every layer that can be had; strict: all or none at all; none")
      ->check(CLI::IsMember({"auto", "strict", "none"}))
      ->capture_default_str();
  app.add_option("--seccomp", given.seccomp,
                 "What a forbidden system call does: kill ends the process, trap says first\n"
                 "which it was, log (not a wall) lets it through into the audit log")
      ->check(CLI::IsMember({"kill", "trap", "log"}))
      ->capture_default_str();
  app.add_option("--sessions-per-uid", options.sessions_per_uid,
                 "How many VMs one user may have attached or away; by default half of what\n"
                 "descriptors are there for")
      ->type_name("N")
      ->check(CLI::Range(1, 65536));
  app.add_flag("--one-off", options.one_off, "End when the first VM has left");
  app.add_flag("--print-capabilities", options.print_capabilities,
               "Print what this back end is and what --sandbox gives here, as JSON, and exit");
}

sandbox::Grade grade_of(std::string_view name) {
  if (name == "strict") return sandbox::Grade::kStrict;
  return name == "auto" ? sandbox::Grade::kAuto : sandbox::Grade::kNone;
}

sandbox::Forbidden forbidden_of(std::string_view name) {
  if (name == "trap") return sandbox::Forbidden::kTrap;
  return name == "log" ? sandbox::Forbidden::kLog : sandbox::Forbidden::kKill;
}

int fail(const std::string& line) {
  std::cerr << "memfaild: " << line << '\n';
  return 1;
}

}  // namespace

std::expected<Options, int> parse_options(int argc, char** argv) {
  CLI::App app(kAbout, "memfaild");
  Given given;
  declare(app, given);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {  // help, version
    return std::unexpected(app.exit(done));
  } catch (const CLI::ParseError& error) {
    return std::unexpected(fail(std::string(error.what()) + "; see memfaild --help"));
  }
  const Options& options = given.options;
  if (options.socket_path.empty() && options.fd < 0 && !options.print_capabilities) {
    return std::unexpected(fail("give --socket-path PATH or --fd N; see memfaild --help"));
  }
  given.options.sandbox = grade_of(given.sandbox);
  given.options.forbidden = forbidden_of(given.seccomp);
  return given.options;
}

}  // namespace memfail
