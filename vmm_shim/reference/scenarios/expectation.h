// SPDX-License-Identifier: BSD-3-Clause
//
// What each scenario must come to under each policy: written down here,
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
  std::string_view by = {};  // who decided, where not as in the whole scenario
  unsigned count = 1;        // incidents it stands for; of a storm, pages
  std::string_view repair = {};
  bool drill = false;
  std::string_view region = {}, thread = {};  // where they are looked at
};

// What happens to the sidecar meanwhile.
enum class Drive { kPlain, kAbsent, kKilled, kSilent, kOrdered };

// Where a scenario may be reported as unsupported and the run still be good.
enum class MayMiss { kNowhere, kAnywhere, kWithoutRealPoison, kWithoutHugePages, kWithoutBoth };

// The policies under which a row counts.
enum class Under { kBoth, kQemu, kRecommended };

struct Expectation {
  std::string_view scenario;
  std::string_view vm;                 // how the VM ends
  std::vector<ExpectedEvent> events;   // in any order
  bool broadcast = false;              // vCPU 1 sees the sibling's record
  bool older_record = false;           // the guest finds one that nobody set
  bool repeats = false;                // really broken: the guest meets it again, each an event
  Drive drive = Drive::kPlain;
  MayMiss may_miss = MayMiss::kNowhere;
  Under under = Under::kBoth;
  std::string_view may_come = {};      // events of this reason
  unsigned by_handler = 0;             // incidents that the VMM hears of in its handler alone
  std::string_view order = {};  // kOrdered: asked of memfaild, a JSON object but for the VM

  // Without an answer from the sidecar in time the shim decides itself.
  std::string_view decided_by() const {
    return drive == Drive::kPlain || drive == Drive::kOrdered ? "sidecar" : "builtin";
  }
};

// The rows of one policy: "recommended" or "qemu".
std::vector<const Expectation*> expectations(std::string_view policy);

}  // namespace memfail::scenarios
