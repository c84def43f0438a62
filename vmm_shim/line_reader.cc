// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/line_reader.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace memfail::shim {

// More bytes behind those that are there; false at the end of the file.
bool LineReader::fill() {
  if (begin_ != 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  ssize_t got = -1;
  do {
    got = ::read(fd_, buffer_.data() + end_, buffer_.size() - end_);
  } while (got < 0 && errno == EINTR);
  if (got < 0) error_ = errno;
  if (got <= 0) return false;
  end_ += static_cast<std::size_t>(got);
  return true;
}

std::string_view LineReader::take(std::size_t length, std::size_t skip) {
  const std::string_view line(buffer_.data() + begin_, length);
  begin_ += length + skip;
  return line;
}

std::optional<std::string_view> LineReader::next() {
  for (;;) {
    const std::string_view held(buffer_.data() + begin_, end_ - begin_);
    const std::size_t length = held.find('\n');
    if (length != std::string_view::npos) {
      const std::string_view line = take(length, 1);
      if (in_cut_line_) {
        in_cut_line_ = false;
        continue;
      }
      return line;
    }
    if (held.size() == buffer_.size()) {
      const std::string_view line = take(held.size(), 0);
      if (in_cut_line_) continue;
      in_cut_line_ = true;
      return line;
    }
    if (fill()) continue;
    // A last line without a newline is one too.
    if (error_ != 0 || held.empty() || in_cut_line_) return std::nullopt;
    return take(end_ - begin_, 0);
  }
}

}  // namespace memfail::shim
