// SPDX-License-Identifier: BSD-3-Clause
//
// A running memfaild and our place in its event stream.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "vmm_shim/reference/scenarios/child.h"
#include "vmm_shim/reference/scenarios/event_stream.h"

namespace memfail::scenarios {

struct SidecarProgram {
  std::string path, policy, sandbox;
};

class Sidecar {
 public:
  // Sockets are made in `folder`, its log is appended to `log`.
  Sidecar(SidecarProgram program, std::string folder, std::string log);

  // Returns when it says that it listens; dies when it does not.
  void start();
  void kill();      // SIGKILL, and waits for its end
  void suspend();   // SIGSTOP
  void resume();    // SIGCONT

  std::string socket() const { return folder_ + "/vm.sock"; }
  std::string ctl() const { return folder_ + "/ctl.sock"; }
  EventStream& events() { return *events_; }
  // All events of all of its lives.
  std::vector<std::string> lines() const;

 private:
  const SidecarProgram program_;
  const std::string folder_, log_;
  std::unique_ptr<Child> child_;
  std::unique_ptr<EventStream> events_;
  std::vector<std::string> earlier_lines_;
};

}  // namespace memfail::scenarios
