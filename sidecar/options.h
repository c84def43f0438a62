// SPDX-License-Identifier: BSD-3-Clause
//
// The command line of memfaild.
#pragma once

#include <cstddef>
#include <expected>
#include <string>

#include "sidecar/journal/journal.h"
#include "sidecar/sandbox/sandbox.h"

namespace memfail {

struct Options {
  std::string socket_path;
  int fd = -1;
  std::string events;
  std::string ctl;
  std::string policy = "recommended";  // built in, or a path
  journal::JournalOptions journal;
  sandbox::Grade sandbox = sandbox::Grade::kAuto;
  sandbox::Forbidden forbidden = sandbox::Forbidden::kKill;
  bool print_capabilities = false;
  bool one_off = false;
  std::size_t sessions_per_uid = 0;  // 0: by the descriptors there are
};

// The options, or the status to exit with: help, version and capabilities have
// been printed, or one line on stderr says what is wrong.
std::expected<Options, int> parse_options(int argc, char** argv);

}  // namespace memfail
