// SPDX-License-Identifier: BSD-3-Clause
//
// Lines from a pipe or socket, with a limit on waiting for one.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace memfail::scenarios {

class LineReader {
 public:
  explicit LineReader(int fd) : fd_(fd) {}  // stays the caller's

  // Without its newline; nothing at the limit or at the end of the stream.
  std::optional<std::string> next(std::chrono::steady_clock::time_point limit);

 private:
  int fd_;
  std::string buffer_;
};

}  // namespace memfail::scenarios
