// SPDX-License-Identifier: BSD-3-Clause
//
// An operator who asks memfaild for something, as memfailctl does.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "vmm_shim/reference/scenarios/child.h"
#include "vmm_shim/reference/scenarios/line_reader.h"
#include "vmm_shim/reference/unique_fd.h"

namespace memfail::scenarios {

using Json = nlohmann::ordered_json;

class Operator {
 public:
  // Asks `order`, a JSON object, of the VM of this name.
  Operator(const std::string& ctl_socket, std::string_view order, const std::string& vm);

  // What it is told until memfaild has no more to say.
  std::vector<Json> told_before(Clock::time_point limit);

 private:
  reference::UniqueFd fd_;
  LineReader reader_;
};

}  // namespace memfail::scenarios
