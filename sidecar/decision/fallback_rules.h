// SPDX-License-Identifier: BSD-3-Clause
//
// Rules as they go over the control socket.
#pragma once

#include <optional>

#include "schema/control_generated.h"
#include "sidecar/decision/rules.h"

namespace memfail::decision {

inline wire::FallbackRules to_wire(const Rules& rules) {
  return {static_cast<std::uint8_t>(rules.policy),
          rules.untold,
          rules.outside,
          rules.no_progress,
          static_cast<std::uint8_t>(rules.optional),
          rules.broadcast,
          rules.repeat_limit,
          rules.repeat_seconds,
          rules.storm_pages,
          rules.storm_seconds};
}

// None: a value is out of range.
inline std::optional<Rules> from_wire(const wire::FallbackRules& set) {
  const Rules rules{.policy = static_cast<Policy>(set.policy()),
                    .untold = set.untold(),
                    .outside = set.outside(),
                    .no_progress = set.no_progress(),
                    .optional = static_cast<OptionalDelivery>(set.optional()),
                    .broadcast = set.broadcast(),
                    .repeat_limit = set.repeat_limit(),
                    .repeat_seconds = set.repeat_seconds(),
                    .storm_pages = set.storm_pages(),
                    .storm_seconds = set.storm_seconds()};
  return is_valid(rules) ? std::optional(rules) : std::nullopt;
}

}  // namespace memfail::decision
