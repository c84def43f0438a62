// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "sidecar/session/host.h"

namespace memfail::test {

// A process around sessions that does nothing but remember.
class FakeHost final : public session::Host {
 public:
  journal::RecordStore& records() override { return records_; }
  std::uint64_t realtime_us() override { return 1'700'000'000'000'042; }
  void log(std::string_view line) override { last_line = line; }
  void event_appended() override { ++events; }
  void discard(shm::UniqueFd fd) override { discarded += fd.valid() ? 1 : 0; }
  bool discards_clogged() override { return clogged; }
  bool notice_hang_up(session::Session&) override { return false; }
  void attached(session::Session&) override {}
  void ready(session::Session&) override { ++readies; }
  void replacing(session::Session&) override {}
  void detached(session::Session&) override {}
  void gone(session::Session&) override { ++gones; }

  std::string last_line;
  int events = 0;
  int discarded = 0;
  int readies = 0;
  int gones = 0;
  bool clogged = false;

 private:
  journal::RecordStore records_{"memory-test"};
};

}  // namespace memfail::test
