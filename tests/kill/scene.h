// SPDX-License-Identifier: BSD-3-Clause
//
// A sidecar, a VM under load, and a consumer of events, in which a test kills one or
// the other.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "tests/kill/event_reader.h"
#include "tests/kill/judge.h"
#include "tests/kill/sidecar_process.h"
#include "tests/kill/story.h"
#include "tests/kill/vm_process.h"

namespace memfail::kill {

class Scene {
 public:
  Scene();  // nothing runs yet
  ~Scene();
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  SidecarProcess& sidecar() { return sidecar_; }
  VmProcess& vm() { return *vm_; }
  Story& story() { return story_; }
  [[nodiscard]] const Story& story() const { return story_; }

  // Reads events meanwhile. False: the limit was reached first.
  bool wait_until(const std::function<bool()>& condition);
  void wait(std::chrono::microseconds time);

  // A new sidecar, the VM attached to it again; false: it did not come to that.
  bool start_sidecar();
  // The VM, to a sidecar that serves.
  bool attach();
  // SIGKILL to the one there is, first.
  bool replace_sidecar();
  // A new VM, attached, its vCPUs under load.
  bool start_vm(const Pace& pace = {});

  // Nobody reads events from here on, or somebody does again.
  void look_away() { looking_ = false, reader_.hang_up(); }
  void look_again() { looking_ = true; }
  // Judge::forgive()
  void forgive() { judge_->forgive(); }

  // Lets the load rest until every incident has its event, and judges all of them.
  // False: something was missing or wrong, and the story says what.
  bool settle();
  void go_on() { vm_->go_on(); }
  // The same for a VM that has died; there is a sidecar. `attached`: to a sidecar that has not.
  bool bury_vm(bool attached);

  // Oldest that a reader can have; 0: nobody answers.
  [[nodiscard]] std::uint64_t first_seq() const;

  // Verdicts that only a slice found, so far.
  std::uint64_t slices();

 private:
  bool read_all_events();
  bool has_all_events(Fate fate);
  bool judge(Fate fate);

  std::string directory_;
  Story story_;
  SidecarProcess sidecar_;
  EventReader reader_;
  bool looking_ = true;
  std::uint32_t vms_ = 0;
  std::uint64_t sidecars_lost_ = 0;  // since all events were there
  std::unique_ptr<VmProcess> vm_;
  std::unique_ptr<Judge> judge_;
};

}  // namespace memfail::kill
