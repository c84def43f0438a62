// SPDX-License-Identifier: BSD-3-Clause
//
// Drills and injections that operators have asked for and wait on: first the VMM says
// whether it does it, then the incident's event comes. Either may be seen first. No
// timer: whoever waits gives up by closing the connection.
#pragma once

#include <list>
#include <vector>

#include "sidecar/journal/record_store.h"
#include "sidecar/server/ctl_client.h"
#include "sidecar/session/host.h"
#include "sidecar/session/order.h"
#include "sidecar/session/session.h"

namespace memfail::server {

class Operations {
 public:
  explicit Operations(const journal::RecordStore& records) : records_(records) {}

  void add(const session::Session& session, const session::Order& order, CtlClient& client);

  void answered(const session::Session& session, const wire::OperatorAnswer& answer);
  void ended(const session::EndedIncident& incident);
  void detached(const session::Session& session);  // its VMM answers nothing any more
  void gone(const session::Session& session);      // nor will an event come
  void left(const CtlClient& client);

 private:
  struct Operation {
    const session::Session* session = nullptr;
    session::Order order;
    CtlClient* client = nullptr;
    bool accepted = false;
    std::uint32_t lane = 0;  // once accepted: of the incident
    std::uint64_t sequence = 0;
    std::vector<session::EndedIncident> seen;  // before it was accepted
  };

  void accept(Operation& operation, std::uint32_t lane, std::uint64_t sequence);
  // True: this was the operation's, and it is over.
  bool finish(const Operation& operation, const session::EndedIncident& incident) const;
  bool finish_unanswered(Operation& operation);
  void drop(const session::Session& session, bool accepted_too, std::string_view why);

  const journal::RecordStore& records_;
  std::list<Operation> operations_;
};

}  // namespace memfail::server
