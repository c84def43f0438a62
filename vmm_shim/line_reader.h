// SPDX-License-Identifier: BSD-3-Clause
//
// The lines of a text file of /proc, through a buffer of the caller's.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace memfail::shim {

class LineReader {
 public:
  // Borrows both; reads `fd` from where it stands.
  LineReader(int fd, std::span<char> buffer) : fd_(fd), buffer_(buffer) {}

  // The next line without its newline, good until the next call; none at the end and
  // after an error. Of a line longer than the buffer only the beginning is given.
  std::optional<std::string_view> next();
  // errno of the read that failed, or 0.
  [[nodiscard]] int error() const { return error_; }

 private:
  bool fill();
  std::string_view take(std::size_t length, std::size_t skip);

  int fd_;
  std::span<char> buffer_;
  std::size_t begin_ = 0;  // of what has been read and not given out
  std::size_t end_ = 0;
  bool in_cut_line_ = false;  // the rest of a line that was given out cut
  int error_ = 0;
};

}  // namespace memfail::shim
