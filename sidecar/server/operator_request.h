// SPDX-License-Identifier: BSD-3-Clause
//
// What an operator asks on the ctl socket: one JSON object a line, one line back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "sidecar/server/order_request.h"
#include "sidecar/server/status.h"

namespace memfail::server {

// What operators may change.
class OperatorTarget {
 public:
  // A policy in its binary form, in force at once or refused whole. The digest, or what
  // is wrong.
  virtual std::expected<std::uint64_t, std::string> load_policy(
      std::string_view name, std::span<const std::byte> binary) = 0;

  // Puts it to the VM; what comes of it is told to whoever asks now. Or why not.
  virtual std::expected<void, std::string> give_order(const OrderRequest& request) = 0;

 protected:
  ~OperatorTarget() = default;
};

// The answer, with its '\n'; empty: a VM has to answer first. Never throws at what was
// asked.
std::string answer_request(std::string_view request, const StatusSources& sources,
                           OperatorTarget& target);

}  // namespace memfail::server
