// SPDX-License-Identifier: BSD-3-Clause
//
// `memfailctl drill` and `memfailctl inject`: asks the VM, says what it answered, and
// waits for the event that comes of it.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <string>

namespace memfail::ctl {

struct OrderOptions {
  std::string socket;
  bool as_json = false;
  unsigned wait_seconds = 5;
  std::string vm;
  // drill
  std::uint64_t gpa = 0;
  std::string kind = "ar";
  std::uint32_t vcpu = 0;
  // inject
  std::uint32_t cpu = 0;
  std::uint32_t bank = 0;
  std::uint64_t status = 0, mcg_status = 0, addr = 0, misc = 0;
  bool broadcast = false;
};

void declare_drill(CLI::App& command, OrderOptions& options);
void declare_inject(CLI::App& command, OrderOptions& options);

// The exit status: 0 the event came.
int run_drill(const OrderOptions& options, bool colour);
int run_inject(const OrderOptions& options, bool colour);

}  // namespace memfail::ctl
