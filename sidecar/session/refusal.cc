// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/session/refusal.h"

#include <cstring>
#include <utility>

namespace memfail::session {

Refusal refuse_limit(wire::ErrorCode code, std::string field, std::uint64_t value,
                     std::uint64_t limit) {
  std::string text =
      field + " is " + std::to_string(value) + ", the limit is " + std::to_string(limit);
  return {code, std::move(field), value, limit, std::move(text)};
}

Refusal refuse(wire::ErrorCode code, std::string field, std::string text) {
  return {code, std::move(field), 0, 0, std::move(text)};
}

Refusal refuse(wire::ErrorCode code, const shm::Error& error) {
  std::string text = std::string(error.field) + " " + error.what;
  if (error.value != 0 || error.limit != 0) {
    text += " (" + std::to_string(error.value) + ", must be " + std::to_string(error.limit) + ")";
  }
  if (error.number != 0) text += std::string(": ") + std::strerror(error.number);
  return {code, error.field, error.value, error.limit, std::move(text)};
}

}  // namespace memfail::session
