// SPDX-License-Identifier: BSD-3-Clause
//
// A reader of memfaild's event stream, as any consumer would be one: connect, ask
// for all there is, read JSON Lines. Keeps what it read, by VM.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "vmm_shim/reference/scenarios/child.h"
#include "vmm_shim/reference/scenarios/line_reader.h"
#include "vmm_shim/reference/unique_fd.h"

namespace memfail::scenarios {

using Json = nlohmann::ordered_json;

class EventStream {
 public:
  explicit EventStream(const std::string& path);

  // Reads until this VM has `count` events, or until the limit.
  void read_until(const std::string& vm, std::size_t count, Clock::time_point limit);
  // Reads until nothing has come for so long.
  void read_until_quiet(Clock::duration quiet);
  std::vector<Json> events_of(const std::string& vm) const;
  // Every event as it came.
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  bool read_one(Clock::time_point limit);

  reference::UniqueFd fd_;
  LineReader reader_;
  std::vector<std::string> lines_;
  std::map<std::string, std::vector<Json>> by_vm_;
};

}  // namespace memfail::scenarios
