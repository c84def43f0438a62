// SPDX-License-Identifier: BSD-3-Clause
//
// `memfailctl events`: memory failures, as they were and as they come.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace memfail::ctl {

struct EventsOptions {
  std::string socket;
  bool follow = false;
  std::optional<std::uint64_t> since;
  std::string journal;
  std::vector<std::string> vms;
  std::vector<std::string> actions;
  std::vector<std::string> reasons;
  bool as_json = false;
  std::string colour = "auto";
};

void declare_events(CLI::App& command, EventsOptions& options);

// Prints them; the status to exit with.
int show_events(const EventsOptions& options);

}  // namespace memfail::ctl
