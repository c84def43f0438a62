// SPDX-License-Identifier: BSD-3-Clause
//
// Which events a reader wants.
#pragma once

#include <bitset>
#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "schema/event_generated.h"
#include "sidecar/policy/glob.h"

namespace memfail::events {

// Each part that was given must agree; a filter without parts takes everything.
class Filter {
 public:
  // What one event costs grows with the patterns, and readers share the loop with VMs.
  static constexpr std::size_t kMaxVms = 16;

  // The error says what the pattern must be.
  std::expected<void, std::string> add_vm(std::string_view pattern);
  void add_action(wire::Action action) { actions_.set(static_cast<std::size_t>(action)); }
  void add_reason(wire::Reason reason) { reasons_.set(static_cast<std::size_t>(reason)); }

  bool passes(const wire::EventRecord& event) const;
  std::size_t patterns() const { return vms_.size(); }

 private:
  struct Vm {
    std::string text;   // as a uuid or a session id it is taken whole
    policy::Glob name;
  };

  bool passes_vm(const wire::EventRecord& event) const;

  std::vector<Vm> vms_;
  std::bitset<256> actions_;
  std::bitset<256> reasons_;
};

}  // namespace memfail::events
