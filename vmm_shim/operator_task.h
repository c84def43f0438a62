// SPDX-License-Identifier: BSD-3-Clause
//
// What an operator asks of this VM: a drill, or a machine check of their making. One
// at a time; asked over the control socket, done on a vCPU's thread, answered by
// dispatch.
#pragma once

#include <atomic>
#include <cstdint>

#include "schema/control_generated.h"
#include "sidecar/decision/types.h"

struct memfail_lane;

namespace memfail::shim {

struct OperatorRequest {
  std::uint64_t id = 0;           // of the message
  std::uint32_t area_serial = 0;  // of the connection that it came by
  bool injects = false;           // else it is a drill
  std::uint32_t vcpu = 0;
  std::uint64_t gpa = 0;  // a drill's
  int code = 0;           // its si_code
  decision::MachineCheck record;  // an injection's
  bool broadcast = false;
};

struct OperatorAnswer {
  wire::OperatorRefusal refusal = wire::OperatorRefusal::none;
  std::uint64_t value = 0;
  std::uint64_t limit = 0;
  std::uint32_t lane = 0;  // of the incident that came of it
  std::uint64_t sequence = 0;
};

inline OperatorAnswer refused(wire::OperatorRefusal why, std::uint64_t value = 0,
                              std::uint64_t limit = 0) {
  return {why, value, limit, 0, 0};
}

struct OperatorTask {
  // Guarded by session.mutex.
  bool asked = false;  // `request` is to be taken up
  OperatorRequest request;
  bool answered = false;  // `answer` is to be sent
  std::uint64_t answered_id = 0;
  OperatorAnswer answer;

  std::uint64_t until_ns = 0;  // dispatch's own: when it is given up; 0: never

  // Who has the members below: dispatch while back, else the posted function.
  enum Where : std::uint32_t { kBack, kOut, kRuns, kDone, kExpired };
  std::atomic<std::uint32_t> where{kBack};
  memfail_lane* lane = nullptr;
  OperatorRequest out;
  OperatorAnswer result;
};

// The signal that a drill raises, while it is raised: how the handler knows it. The
// thread that raises it runs the handler too.
struct DrillSignal {
  enum class Seen : std::uint8_t { kNot, kReported, kNoCell, kWrongLane };
  std::atomic<std::uint32_t> tid{0};  // 0: none is under way
  std::uint64_t hva = 0;
  int code = 0;
  std::int32_t vcpu = -1;
  Seen seen = Seen::kNot;
  std::uint64_t sequence = 0;
};

}  // namespace memfail::shim
