// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/vm_port.h"

#include <utility>

namespace memfail::server {

VmPort::VmPort(VmPortOwner& owner, PollSet& poll_set, session::Session& session)
    : owner_(owner), poll_set_(poll_set), session_(session) {}

VmPort::~VmPort() { stop(); }

bool VmPort::watch_vmm() {
  if (!poll_set_.add(session_.vmm_fd(), EPOLLIN, vmm_target_)) return false;
  vmm_fd_ = session_.vmm_fd();
  return true;
}

bool VmPort::watch_kicks() {
  if (kick_fd_ >= 0) return true;
  if (!poll_set_.add(session_.kick_fd(), EPOLLIN | EPOLLET, kick_target_)) return false;
  kick_fd_ = session_.kick_fd();
  return true;
}

void VmPort::stop_kicks() {
  if (kick_fd_ >= 0) poll_set_.remove(std::exchange(kick_fd_, -1), kick_target_);
}

void VmPort::stop() {
  stop_kicks();
  if (vmm_fd_ >= 0) poll_set_.remove(std::exchange(vmm_fd_, -1), vmm_target_);
}

}  // namespace memfail::server
