// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/overflow.h"

#include <algorithm>
#include <limits>

#include "sidecar/journal/live_state.h"

namespace memfail::journal {
namespace {

std::pair<std::uint32_t, std::uint32_t> place_of(const IncidentId& id) {
  return {id.lane, static_cast<std::uint32_t>((id.sequence - 1) % LiveState::kPlaces)};
}

}  // namespace

void Overflow::count(const EventFields& fields) {
  count({fields.session, fields.lane, fields.sequence}, fields.count);
  Counted& counted = sessions_[fields.session];
  if (counted.since_us == 0) counted.since_us = fields.realtime_us;
  counted.vm_uuid = fields.vm_uuid;
  counted.vm_name = fields.vm_name;
  // What it would have stood for has its records, and is owed an event still.
  counted.folded += fields.folded;
}

void Overflow::count(const IncidentId& id, std::uint64_t count) {
  Counted& counted = sessions_[id.session];
  counted.count += count;
  total_ += count;
  if (id.sequence == 0) return;
  std::uint64_t& last = counted.incidents[place_of(id)];
  last = std::max(last, id.sequence);
}

bool Overflow::covers(const IncidentId& id) const {
  const auto session = sessions_.find(id.session);
  if (session == sessions_.end() || id.sequence == 0) return false;
  const auto last = session->second.incidents.find(place_of(id));
  return last != session->second.incidents.end() && last->second >= id.sequence;
}

EventFields overflow_event(const wire::Id128& session, const Overflow::Counted& counted,
                           std::uint64_t now_us) {
  EventFields fields;
  fields.session = session;
  fields.realtime_us = now_us;
  fields.since_us = counted.since_us;
  fields.vm_uuid = counted.vm_uuid;
  fields.vm_name = counted.vm_name;
  fields.reason = wire::Reason::records_lost;
  fields.count = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(counted.count, std::numeric_limits<std::uint32_t>::max()));
  fields.folded = counted.folded;
  return fields;
}

}  // namespace memfail::journal
