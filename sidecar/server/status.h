// SPDX-License-Identifier: BSD-3-Clause
//
// What `memfailctl status` is answered.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/journal/record_store.h"
#include "sidecar/session/session_table.h"

namespace memfail::server {

struct StatusSources {
  std::string_view version;
  std::string_view policy;
  const std::vector<std::string>& sandbox_layers;
  const session::SessionTable& table;
  const journal::RecordStore& records;
  std::uint64_t now_ns = 0;  // CLOCK_MONOTONIC
};

// Answers one request line with one line.
std::string answer_request(std::string_view request, const StatusSources& sources);

}  // namespace memfail::server
