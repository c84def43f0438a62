// SPDX-License-Identifier: BSD-3-Clause
//
// A reader of a real memfaild's events, spoken by hand, and events for it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon.h"
#include "shm/unique_fd.h"

namespace memfail::test {

// Each a policy that was loaded: seqs follow one another, of no VM.
void publish(const Daemon& daemon, std::size_t count);

class EventStream {
 public:
  // Sends `request` at once, where there is one.
  explicit EventStream(const std::string& path, const std::string& request = "");

  // Up to 5 s for each; none: the stream has ended.
  std::optional<nlohmann::json> line();
  std::vector<nlohmann::json> rest();  // until it ends
  nlohmann::json notice();             // the next line, which is memfaild's own

 private:
  shm::UniqueFd fd_;
  std::string buffer_;
};

// The seqs from 1 that `lines` tell or call a gap: each once and in order. What follows
// the last; a failure of the running test where they are not.
std::uint64_t told_or_gone(const std::vector<nlohmann::json>& lines);

}  // namespace memfail::test
