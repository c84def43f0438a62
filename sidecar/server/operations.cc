// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/operations.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sidecar/events/event_json.h"

namespace memfail::server {
namespace {

using Json = nlohmann::ordered_json;

// A VM has at most so many cells in a lane, and one operation: more is not kept.
constexpr std::size_t kMostSeen = 16;

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

bool same(const wire::Id128& a, const wire::Id128& b) {
  return a.low() == b.low() && a.high() == b.high();
}

}  // namespace

void Operations::add(const session::Session& session, const session::Order& order,
                     CtlClient& client) {
  operations_.push_back({&session, order, &client, false, 0, 0, {}});
}

void Operations::answered(const session::Session& session, const wire::OperatorAnswer& answer) {
  const auto found = std::ranges::find_if(
      operations_, [&](const Operation& one) { return one.session == &session && !one.accepted; });
  if (found == operations_.end()) return;  // who asked has left
  if (answer.refusal() != wire::OperatorRefusal::none) {
    found->client->say(line_of({{"error", "VM '" + session.label().name + "' refused: " +
                                              session::refusal_text(found->order, answer)}}),
                       true);
    operations_.erase(found);
    return;
  }
  accept(*found, answer.lane(), answer.sequence());
  for (const session::EndedIncident& incident : found->seen) {
    if (!finish(*found, incident)) continue;
    operations_.erase(found);
    return;
  }
  found->seen.clear();
}

void Operations::accept(Operation& operation, std::uint32_t lane, std::uint64_t sequence) {
  operation.accepted = true;
  operation.lane = lane;
  operation.sequence = sequence;
  const session::VmLabel& vm = operation.session->label();
  operation.client->say(line_of({{"accepted",
                                  {{"vm", vm.name},
                                   {"session", events::hex_id(vm.session)},
                                   {"lane", operation.lane},
                                   {"sequence", operation.sequence}}}}),
                        false);
}

void Operations::ended(const session::EndedIncident& incident) {
  std::erase_if(operations_, [&](Operation& operation) {
    if (!same(operation.session->label().session, incident.session)) return false;
    if (operation.accepted) return finish(operation, incident);
    if (operation.seen.size() < kMostSeen) operation.seen.push_back(incident);
    return false;
  });
}

bool Operations::finish(const Operation& operation, const session::EndedIncident& incident) const {
  if (incident.lane != operation.lane || incident.sequence != operation.sequence) return false;
  const wire::EventRecord* event = incident.seq == 0 ? nullptr : records_.event(incident.seq);
  operation.client->say(event != nullptr
                            ? events::event_line(*event, records_.durable(incident.seq))
                            : line_of({{"counted", "in a later event of this page"}}),
                        true);
  return true;
}

// A VMM that did what it was asked and ended before it could say in which incident.
// A VM has one operation at a time: an operator's incident is this one's.
bool Operations::finish_unanswered(Operation& operation) {
  for (const session::EndedIncident& incident : operation.seen) {
    const wire::EventRecord* event = incident.seq == 0 ? nullptr : records_.event(incident.seq);
    if (event == nullptr) continue;
    if (!event->drill() && event->reason() != wire::Reason::operator_request) continue;
    accept(operation, incident.lane, incident.sequence);
    return finish(operation, incident);
  }
  return false;
}

void Operations::drop(const session::Session& session, bool accepted_too, std::string_view why) {
  std::erase_if(operations_, [&](Operation& operation) {
    if (operation.session != &session || (operation.accepted && !accepted_too)) return false;
    if (!operation.accepted && finish_unanswered(operation)) return true;
    operation.client->say(
        line_of({{"error", "VM '" + session.label().name + "' " + std::string(why)}}), true);
    return true;
  });
}

void Operations::detached(const session::Session& session) {
  drop(session, false, "detached before its VMM answered");
}

void Operations::gone(const session::Session& session) {
  drop(session, true, "is gone, no event will come");
}

void Operations::left(const CtlClient& client) {
  std::erase_if(operations_, [&](const Operation& one) { return one.client == &client; });
}

}  // namespace memfail::server
