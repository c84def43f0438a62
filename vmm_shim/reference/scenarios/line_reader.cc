// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/reference/scenarios/line_reader.h"

#include <unistd.h>

#include <array>

#include "vmm_shim/reference/scenarios/wait.h"

namespace memfail::scenarios {

std::optional<std::string> LineReader::next(std::chrono::steady_clock::time_point limit) {
  std::size_t end = 0;
  while ((end = buffer_.find('\n')) == buffer_.npos) {
    if (!readable_before(fd_, limit)) return std::nullopt;
    std::array<char, 4096> bytes{};
    const ssize_t count = read(fd_, bytes.data(), bytes.size());
    if (count <= 0) return std::nullopt;
    buffer_.append(bytes.data(), static_cast<std::size_t>(count));
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  return line;
}

}  // namespace memfail::scenarios
