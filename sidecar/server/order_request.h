// SPDX-License-Identifier: BSD-3-Clause
//
// An operator's {"command":"drill"|"inject",…}, read.
#pragma once

#include <expected>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sidecar/session/order.h"
#include "sidecar/session/session_table.h"

namespace memfail::server {

struct OrderRequest {
  std::string vm;  // a name, a uuid or a session
  session::Order order;
};

// The error is one line that names the member, its value and what it must be.
std::expected<OrderRequest, std::string> drill_request(const nlohmann::ordered_json& json);
std::expected<OrderRequest, std::string> injection_request(const nlohmann::ordered_json& json);

// The one session that `vm` means, or why there is none: nobody has that name, or more
// than one.
std::expected<const session::Session*, std::string> find_vm(const session::SessionTable& table,
                                                            const std::string& vm);

}  // namespace memfail::server
