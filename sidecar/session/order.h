// SPDX-License-Identifier: BSD-3-Clause
//
// What an operator asks of a VM, on its way to the VMM; and the words for what the VMM
// may say to it.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "schema/control_generated.h"
#include "sidecar/decision/types.h"

namespace memfail::session {

struct DrillOrder {
  std::uint64_t gpa = 0;
  wire::DrillKind kind = wire::DrillKind::action_required;
  std::uint32_t vcpu = 0;
};

struct InjectionOrder {
  std::uint32_t vcpu = 0;
  decision::MachineCheck record;
  bool broadcast = false;
};

using Order = std::variant<DrillOrder, InjectionOrder>;

// The feature that a VM must have agreed to.
wire::Feature feature_of(const Order& order);

// One line for a person, with the thing, its value and the limit. What a peer gave is a
// number in it, never text.
std::string refusal_text(const Order& order, const wire::OperatorAnswer& answer);

}  // namespace memfail::session
