// SPDX-License-Identifier: BSD-3-Clause
//
// Lines over a Unix stream socket, blocking: memfailctl does one thing at a time.
#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>

#include "shm/unique_fd.h"

namespace memfail::ctl {

class LineSocket {
 public:
  // The error is one line that says what to do next.
  static std::expected<LineSocket, std::string> open(const std::string& path);

  bool send(const std::string& line);
  std::optional<std::string> receive();  // without its '\n'; none: the other side closed
  // The same, or none at the limit.
  std::optional<std::string> receive_until(std::chrono::steady_clock::time_point limit);

 private:
  explicit LineSocket(shm::UniqueFd fd) : fd_(std::move(fd)) {}

  std::optional<std::string> take_line();
  bool receive_some();  // false: the other side closed

  shm::UniqueFd fd_;
  std::string buffer_;
};

}  // namespace memfail::ctl
