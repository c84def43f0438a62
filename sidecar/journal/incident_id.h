// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <compare>
#include <cstdint>

#include "schema/incident_layout.h"

namespace memfail::journal {

inline bool same_id(const wire::Id128& a, const wire::Id128& b) {
  return a.low() == b.low() && a.high() == b.high();
}

// An order for tables; it means nothing else.
struct Id128Order {
  bool operator()(const wire::Id128& a, const wire::Id128& b) const {
    return a.high() != b.high() ? a.high() < b.high() : a.low() < b.low();
  }
};

struct IncidentId {
  wire::Id128 session;
  std::uint32_t lane = 0;
  std::uint64_t sequence = 0;

  bool operator==(const IncidentId& other) const {
    return same_id(session, other.session) && lane == other.lane && sequence == other.sequence;
  }
};

}  // namespace memfail::journal
