// SPDX-License-Identifier: BSD-3-Clause
//
// Why a session ends: what the peer is told in an Error message, and the log in
// one line.
#pragma once

#include <cstdint>
#include <string>

#include "schema/control_generated.h"
#include "shm/error.h"

namespace memfail::session {

struct Refusal {
  wire::ErrorCode code = wire::ErrorCode::none;
  std::string field;
  std::uint64_t value = 0;
  std::uint64_t limit = 0;
  std::string text;  // the whole, for a person
};

// "hello.vcpus is 2000, the limit is 1024"
Refusal refuse_limit(wire::ErrorCode code, std::string field, std::uint64_t value,
                     std::uint64_t limit);

Refusal refuse(wire::ErrorCode code, std::string field, std::string text);

// What shm/ found wrong with a descriptor or an area.
Refusal refuse(wire::ErrorCode code, const shm::Error& error);

}  // namespace memfail::session
