// SPDX-License-Identifier: BSD-3-Clause
//
// What became of a failure: what QEMU was seen to do, and what our policy `qemu`
// says it does, in the same words.
#pragma once

#include <string>
#include <vector>

#include "sidecar/decision/event_shape.h"
#include "sidecar/decision/qemu_injection.h"
#include "tests/qemu/vcpu.h"

namespace memfail::qemu {

// What the guest finds on one vCPU afterwards.
struct Effect {
  bool machine_check = false;
  std::uint64_t mcg_status = 0;
  BankRegisters bank;
};

struct Answer {
  std::vector<std::string> events;  // MEMORY_FAILURE: "guest reset action-required recursive"
  std::string messages;             // one behind the other
  bool reset = false;
  std::vector<Effect> effects;  // by vCPU
};

std::string text(const Answer& answer);

// Where QEMU's messages are read. Only the monitor says why nothing happened.
enum class Channel : std::uint8_t { kMonitor, kLog };

// What our code says of one vCPU.
struct Target {
  unsigned vcpu = 0;
  Registers before;
  decision::MachineCheck record;
  decision::Severity severity = decision::Severity::kNone;  // of the event
};

// Our side, put together vCPU by vCPU.
class Expectation {
 public:
  explicit Expectation(Channel channel) : channel_(channel) {}

  void add(const Target& target, decision::Judgement judgement);
  // A vCPU that QEMU leaves alone: nothing happens there.
  void add_untouched(const Registers& before);
  const Answer& answer() const { return answer_; }

 private:
  void add_event(const Target& target, decision::Judgement judgement);
  void add_effect(const Effect& effect);

  Channel channel_;
  Answer answer_;
};

// QEMU's side, of a machine that is given `banks`, by vCPU, to look at. All it does
// was done, or asked for, when this is called. Ends with the machine running, its
// vCPUs begun again if there was a reset.
Answer observe(Machine& machine, const std::string& messages,
               const std::vector<std::uint8_t>& banks);

// One event in words, QEMU's and ours.
std::string failure_text(const Json& event);
std::string shape_text(const decision::EventShape& shape);

}  // namespace memfail::qemu
