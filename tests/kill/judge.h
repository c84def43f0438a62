// SPDX-License-Identifier: BSD-3-Clause
//
// A VM's log beside what consumers were told of it: each committed report has its
// event, each event is its outcome, and no verdict is wrong.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "tests/kill/load_log.h"
#include "tests/kill/story.h"

namespace memfail::kill {

enum class Fate : std::uint8_t {
  kIdle,   // all lanes of the VM rest: every incident has ended, and has an event
  kDied,   // it is gone, and a sidecar had it attached: what was reported has an event
  kAlone,  // it is gone, as is the sidecar: what had been recorded has an event
};

class Judge {
 public:
  Judge(LoadLog& log, std::string session, Story& story)
      : log_(log), session_(std::move(session)), story_(story) {}

  // Incidents that should have an event by now and have none. Here and below: those
  // since the last judge() only.
  [[nodiscard]] std::uint64_t missing(Fate fate) const;

  // What was begun so far may have no event: the sidecar that had told it is dead, and
  // its history is gone. What is told of it must be right all the same.
  void forgive();

  // Compares each event with what the VM says; what is wrong goes to the story.
  void judge(Fate fate);

 private:
  void compare(std::uint32_t lane, std::uint64_t sequence, Fate fate);
  void compare_exited(const Event& event, const Entry& entry, Fate fate, const std::string& who);
  void check_half_written(std::uint64_t unfinished);

  LoadLog& log_;
  std::string session_;
  Story& story_;
  std::array<std::uint64_t, kLanes> judged_{};    // last sequence, by lane
  std::array<std::uint64_t, kLanes> forgiven_{};  // the same
};

}  // namespace memfail::kill
