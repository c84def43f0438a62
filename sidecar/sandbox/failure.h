// SPDX-License-Identifier: BSD-3-Clause
//
// What a layer says that cannot be had.
#pragma once

#include <cerrno>
#include <cstring>
#include <expected>
#include <string>

namespace memfail::sandbox {

using Done = std::expected<void, std::string>;

// errno's text, and what an operator can do.
inline std::unexpected<std::string> refused(const char* call, const char* hint = "") {
  std::string text = std::string(call) + ": " + std::strerror(errno);
  if (*hint != '\0') text += std::string("; ") + hint;
  return std::unexpected(std::move(text));
}

}  // namespace memfail::sandbox
