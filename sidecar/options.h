// SPDX-License-Identifier: BSD-3-Clause
//
// The command line of memfaild.
#pragma once

#include <expected>
#include <string>

#include "sidecar/journal/journal.h"

namespace memfail {

struct Options {
  std::string socket_path;
  int fd = -1;
  std::string events;
  std::string ctl;
  std::string policy = "recommended";  // built in, or a path
  journal::JournalOptions journal;
  bool sandbox = true;  // auto; false: none
  bool one_off = false;
};

// The options, or the status to exit with: help, version and capabilities have
// been printed, or one line on stderr says what is wrong.
std::expected<Options, int> parse_options(int argc, char** argv);

}  // namespace memfail
