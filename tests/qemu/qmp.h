// SPDX-License-Identifier: BSD-3-Clause
//
// QEMU's machine protocol, as much as the tests speak. What does not come in time
// is a std::runtime_error that says what was waited for.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "shm/unique_fd.h"
#include "vmm_shim/reference/scenarios/line_reader.h"

namespace memfail::qemu {

using Json = nlohmann::ordered_json;

class Qmp {
 public:
  // A fresh connection: takes the greeting and leaves the negotiation behind.
  explicit Qmp(shm::UniqueFd socket);

  // What the command returns; an error it answers is thrown. Events that come
  // before are kept.
  Json execute(const std::string& command, const Json& arguments = Json::object());
  // A line of the human monitor, and what it prints, without ends of lines.
  std::string monitor(const std::string& line, unsigned vcpu = 0);

  // The oldest event of that name, waited for; it is kept no longer.
  Json event(const std::string& name);
  // All of that name that have come, oldest first; they are kept no longer. What
  // QEMU did before it answered a command has come with that answer.
  std::vector<Json> take_events(const std::string& name);

 private:
  Json next(const std::string& awaited);

  shm::UniqueFd socket_;
  scenarios::LineReader lines_;
  std::vector<Json> events_;
};

}  // namespace memfail::qemu
