// SPDX-License-Identifier: BSD-3-Clause
//
// The scenarios: each a row in a table, with a small function that plays it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "vmm_shim/reference/cpu_model.h"
#include "vmm_shim/reference/memory.h"
#include "vmm_shim/reference/stage.h"

namespace memfail::reference {

// What a scenario needs of its VM, beyond what the command line says.
struct Needs {
  unsigned vcpus = 1;
  unsigned not_started = 0;         // of these, never get their SIPI
  bool mce_enabled = true;          // CR4.MCE
  bool real_poison = false;         // cannot be played with a raised signal
  std::optional<Vendor> vendor = {};
  std::optional<RamKind> ram = {};
  std::size_t spare_ram = 0;        // more of it that the host must have free
  std::uint64_t mcg_cap = 0;        // more bits of MCG_CAP
  std::uint64_t mcg_cap_off = 0;    // bits of it that are left out
  bool amd_recovery = true;         // an AMD guest has overflow recovery and SUCCOR
  bool marks = false;               // pages that are poisoned by a mark (UFFDIO_POISON)
  unsigned deadline_ms = 0;         // for a verdict, at least: many have to meet first
};

struct Scenario {
  std::string_view name;
  std::string_view summary;
  Needs needs;
  void (*play)(Stage& stage);
};

std::span<const Scenario> scenarios();
const Scenario* find_scenario(std::string_view name);

}  // namespace memfail::reference
