// SPDX-License-Identifier: BSD-3-Clause
//
// The load VM (load_vm.cc) as a process, and its log, which outlives it.
#pragma once

#include <cstdint>
#include <string>

#include "shm/mapping.h"
#include "shm/unique_fd.h"
#include "tests/kill/child_process.h"
#include "tests/kill/load_log.h"
#include "tests/kill/probe_table.h"

namespace memfail::kill {

class VmProcess {
 public:
  VmProcess(const std::string& socket, std::string name, const std::string& log,
            const Pace& pace = {});

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] LoadLog& log() const { return *reinterpret_cast<LoadLog*>(memory_.data()); }
  [[nodiscard]] ChildProcess& child() { return child_; }
  bool alive() { return child_.alive(); }
  // As events spell it.
  [[nodiscard]] std::string session() const;

  void command(char one) const;  // load_log.h
  void pause() const { log().pause.store(1); }
  void go_on() const { log().pause.store(0); }
  [[nodiscard]] bool is_idle() const { return log().parked.load() == kLanes; }
  [[nodiscard]] bool is_attached() const;

  static const ProbeTable& probes();

 private:
  std::string name_;
  shm::UniqueFd input_;
  shm::Mapping memory_;
  ChildProcess child_;
};

}  // namespace memfail::kill
