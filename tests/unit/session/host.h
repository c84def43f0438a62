// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <functional>
#include <string>

#include "sidecar/session/host.h"

namespace memfail::test {

// A process around sessions that does nothing but remember.
class FakeHost final : public session::Host {
 public:
  decision::Rules rules;
  decision::Rules rules_for(std::string_view) override { return rules; }
  journal::RecordStore& records() override { return records_; }
  std::uint64_t realtime_us() override { return 1'700'000'000'000'042; }
  void log(std::string_view line) override { last_line = line; }
  void event_appended() override {
    ++events;
    if (const auto call = on_event) call();  // a copy: it may put another in its place
  }
  void ordered_incident_ended(const session::EndedIncident& incident) override { ended = incident; }
  void order_answered(session::Session&, const wire::OperatorAnswer& answer) override {
    ++order_answers;
    refusal = answer.refusal();
  }
  void discard(shm::UniqueFd fd) override { discarded += fd.valid() ? 1 : 0; }
  bool discards_clogged() override { return clogged; }
  bool notice_hang_up(session::Session&) override { return false; }
  void attached(session::Session&) override {}
  void ready(session::Session&) override { ++readies; }
  void replacing(session::Session&) override {}
  void detached(session::Session&) override {}
  void gone(session::Session&) override { ++gones; }
  void watch_absent(const wire::Id128&, shm::UniqueFd vmm) override {
    absent += vmm.valid() ? 1 : 0;
  }

  std::function<void()> on_event;  // called in the middle of a pass
  std::string last_line;
  session::EndedIncident ended;
  wire::OperatorRefusal refusal = wire::OperatorRefusal::none;
  int order_answers = 0;
  int events = 0;
  int discarded = 0;
  int readies = 0;
  int gones = 0;
  int absent = 0;  // VMs that are watched without being attached
  bool clogged = false;

 private:
  journal::RecordStore records_{"memory-test"};
};

}  // namespace memfail::test
