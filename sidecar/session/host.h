// SPDX-License-Identifier: BSD-3-Clause
//
// What a session asks of the process around it.
#pragma once

#include <cstdint>
#include <string_view>

#include "shm/unique_fd.h"
#include "sidecar/journal/record_store.h"

namespace memfail::session {

class Session;

class Host {
 public:
  virtual journal::RecordStore& records() = 0;
  virtual std::uint64_t realtime_us() = 0;
  virtual void log(std::string_view line) = 0;

  // An event has its seq: readers may be told, after the verdicts of this turn.
  virtual void event_appended() = 0;

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

 protected:
  ~Host() = default;
};

}  // namespace memfail::session
