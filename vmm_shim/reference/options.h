// SPDX-License-Identifier: BSD-3-Clause
//
// memfail-vmm's command line.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "vmm_shim/reference/failures.h"
#include "vmm_shim/reference/memory.h"
#include "vmm_shim/reference/poison.h"

namespace memfail::reference {

struct Options {
  std::string scenario;
  std::string socket = "/run/memfaild/memfaild.sock";
  std::string name = "memfail-vmm";
  std::array<std::uint8_t, 16> uuid{};
  std::optional<unsigned> vcpus;
  std::optional<Vendor> vendor;
  std::optional<RamKind> ram;
  bool parity = false;  // the sidecar decides as QEMU does
  PoisonKind poison = PoisonKind::kSignal;
  memfail_fallback fallback = MEMFAIL_FALLBACK_BUILTIN;
  unsigned deadline_ms = 100;
  bool allow_drills = false;
  bool allow_injections = false;
  std::string json = "-";
  bool hold = false;
};

// Exits after --help, --list, or with one line about what is wrong.
Options parse_options(int argc, char** argv);

}  // namespace memfail::reference
