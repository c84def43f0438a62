// SPDX-License-Identifier: BSD-3-Clause
//
// What each scenario must come to under the policy `qemu`: written down here,
// independently of the code that decides.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace memfail::scenarios {

struct ExpectedEvent {
  std::string_view recipient, action;
  bool action_required, recursive;
  std::string_view verdict, reason, delivered;
  std::optional<int> bank = {};
};

// What happens to the sidecar meanwhile.
enum class Drive { kPlain, kAbsent, kKilled, kSilent };

// Where a scenario may be reported as unsupported and the run still be good.
enum class MayMiss { kNowhere, kAnywhere, kWithoutRealPoison, kWithoutHugePages };

struct Expectation {
  std::string_view scenario;
  std::string_view vm;                 // how the VM ends
  std::vector<ExpectedEvent> events;   // in any order
  bool broadcast = false;              // vCPU 1 sees the sibling's record
  bool repeats = false;                // really broken: the guest meets it again, each an event
  Drive drive = Drive::kPlain;
  MayMiss may_miss = MayMiss::kNowhere;

  // Without an answer from the sidecar in time the shim decides itself.
  std::string_view decided_by() const { return drive == Drive::kPlain ? "sidecar" : "builtin"; }
};

std::span<const Expectation> expectations();

}  // namespace memfail::scenarios
