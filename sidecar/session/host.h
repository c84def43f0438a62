// SPDX-License-Identifier: BSD-3-Clause
//
// What a session asks of the process around it.
#pragma once

#include <cstdint>
#include <string_view>

#include "schema/control_generated.h"
#include "shm/unique_fd.h"
#include "sidecar/decision/rules.h"
#include "sidecar/journal/record_store.h"

namespace memfail::session {

class Session;

// An incident that has ended; `seq` of its event, or 0 where another event counts it.
struct EndedIncident {
  wire::Id128 session;
  std::uint32_t lane = 0;
  std::uint64_t sequence = 0;
  std::uint64_t seq = 0;
};

class Host {
 public:
  virtual journal::RecordStore& records() = 0;
  virtual std::uint64_t realtime_us() = 0;
  virtual void log(std::string_view line) = 0;

  // What decides for the VM of this name.
  virtual decision::Rules rules_for(std::string_view vm_name) = 0;

  // An event has its seq: readers may be told, after the verdicts of this turn.
  virtual void event_appended() = 0;

  // Of a drill or an injection: an operator may wait for it.
  virtual void ordered_incident_ended(const EndedIncident& incident) = 0;

  // What the VMM says to the order that it was given last.
  virtual void order_answered(Session& session, const wire::OperatorAnswer& answer) = 0;

  // A descriptor that failed its check: closing it may hang, so not here.
  virtual void discard(shm::UniqueFd fd) = 0;
  virtual bool discards_clogged() = 0;

  // Whether the connection of an attached session is gone though its hang-up has
  // not been handled yet; if so, handles it.
  virtual bool notice_hang_up(Session& session) = 0;

  virtual void attached(Session& session) = 0;  // watch its pidfd
  virtual void ready(Session& session) = 0;     // watch its kicks, scan it now
  virtual void replacing(Session& session) = 0;  // its descriptors are about to be closed
  virtual void detached(Session& session) = 0;  // kicks mean nothing any more
  virtual void gone(Session& session) = 0;      // about to be destroyed

  // A VM that is on record and not attached: when its process ends, absent_vm_exited()
  // is due. Not if it attaches again before.
  virtual void watch_absent(const wire::Id128& session, shm::UniqueFd vmm) = 0;

 protected:
  ~Host() = default;
};

}  // namespace memfail::session
