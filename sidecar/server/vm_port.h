// SPDX-License-Identifier: BSD-3-Clause
//
// One session's descriptors in the poll set: the eventfd it is rung by and the
// pidfd of its VMM. Exists as long as its session.
#pragma once

#include "sidecar/server/poll_set.h"
#include "sidecar/session/session.h"

namespace memfail::server {

class Connection;
class VmPort;

class VmPortOwner {
 public:
  virtual void vm_rang(VmPort& port) = 0;
  virtual void vm_exited(VmPort& port) = 0;

 protected:
  ~VmPortOwner() = default;
};

class VmPort {
 public:
  VmPort(VmPortOwner& owner, PollSet& poll_set, session::Session& session);
  ~VmPort();
  VmPort(const VmPort&) = delete;
  VmPort& operator=(const VmPort&) = delete;

  session::Session& session() { return session_; }

  // Where the session speaks; null while it is detached.
  Connection* connection = nullptr;
  bool hot = false;  // in the hot set

  bool watch_vmm();
  // Edge-triggered: every ring of an eventfd is an edge of its own, so there is
  // nothing to drain, and the counter (64 bits, one a ring) never fills up.
  bool watch_kicks();
  void stop_kicks();
  void stop();  // before the session's descriptors are closed

 private:
  struct KickTarget final : PollTarget {
    explicit KickTarget(VmPort& p) : port(p) {}
    void on_ready(std::uint32_t) override { port.owner_.vm_rang(port); }
    VmPort& port;
  };
  struct VmmTarget final : PollTarget {
    explicit VmmTarget(VmPort& p) : port(p) {}
    void on_ready(std::uint32_t) override { port.owner_.vm_exited(port); }
    VmPort& port;
  };

  VmPortOwner& owner_;
  PollSet& poll_set_;
  session::Session& session_;
  KickTarget kick_target_{*this};
  VmmTarget vmm_target_{*this};
  int kick_fd_ = -1;  // while watched
  int vmm_fd_ = -1;
};

}  // namespace memfail::server
