// SPDX-License-Identifier: BSD-3-Clause
//
// Events for which the front had no room: counted by session, and which incidents
// they were. Once there is room again, each session gets one event that says how many.
// Bounded by the sessions and their cells.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "sidecar/journal/event_fields.h"
#include "sidecar/journal/incident_id.h"

namespace memfail::journal {

class Overflow {
 public:
  struct Counted {
    std::uint64_t count = 0;
    std::uint64_t since_us = 0;
    std::string vm_uuid;
    std::string vm_name;
    std::uint32_t folded = 0;  // incidents whose record has been written meanwhile
    // By lane and place (live_state.h): the last incident that was only counted.
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> incidents;
  };
  using Sessions = std::map<wire::Id128, Counted, Id128Order>;

  bool has(const wire::Id128& session) const { return sessions_.contains(session); }
  bool empty() const { return sessions_.empty(); }
  std::uint64_t total() const { return total_; }  // since the process began
  Sessions& sessions() { return sessions_; }

  void count(const EventFields& fields);
  void count(const IncidentId& id, std::uint64_t count);
  // Whether this incident is done with, as one of those that are counted here.
  bool covers(const IncidentId& id) const;

 private:
  Sessions sessions_;
  std::uint64_t total_ = 0;
};

// The event that stands for them.
EventFields overflow_event(const wire::Id128& session, const Overflow::Counted& counted,
                           std::uint64_t now_us);

}  // namespace memfail::journal
