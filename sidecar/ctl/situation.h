// SPDX-License-Identifier: BSD-3-Clause
//
// A memory failure as somebody describes it: only what is unusual is said. The rest
// is that of a Linux guest which can take a machine check.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "sidecar/decision/input.h"

namespace memfail::ctl {

// Words and lists as they were given: input_of() checks them. (The empty braces are
// for those who name some members only.)
struct Situation {
  // The report.
  bool required = false;    // --ar
  bool optional = false;    // --ao
  std::optional<int> code = {};  // --code, si_code itself; none of the three: as the kind has it
  std::string kind = "sigbus";
  std::string thread = "vcpu-in-run";
  std::string address = {};  // empty: guest-ram; none with SI_KERNEL
  std::uint64_t gpa = 0x123456000;

  // The guest.
  std::string vendor = "intel";
  std::optional<std::uint64_t> mcg_cap = {};  // as configured
  std::string ser_p = {};                     // yes or no; empty: as mcg_cap has it
  std::optional<std::uint32_t> cpuid_1_eax = {};
  std::optional<std::uint32_t> cpuid_80000007_ebx = {};
  std::uint32_t vcpus = 2;
  bool paused = false;

  // The vCPU's machine-check state.
  std::string cr4_mce = {};  // yes or no; empty: set, but for a vCPU that cannot have it set
  bool mcip = false;
  bool mc_queued = false;  // and so MCIP
  bool mcg_ctl_off = false;
  bool smm = false;
  bool nested = false;
  bool double_fault = false;
  bool triple_fault = false;
  bool not_started = false;
  bool lmce = false;
  bool no_snapshot = false;
  std::string banks_valid = {}, banks_off = {}, cmci = {};  // see bank_list.h

  // The page.
  bool told = false;
  std::optional<std::uint32_t> repeats = {};  // 1 where action is required, else 0
};

// The error is one line that names the option.
std::expected<decision::Input, std::string> input_of(const Situation& situation);

}  // namespace memfail::ctl
