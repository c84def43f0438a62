// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/policy/load.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "sidecar/policy/compile.h"

namespace memfail::policy {
namespace {

std::string refusal(const std::string& path, const Problems& problems) {
  std::string line = problem_line(problems.front(), path);
  if (problems.size() > 1) {
    line += " (and " + std::to_string(problems.size() - 1) + " more: memfailctl policy check)";
  }
  return line;
}

std::string not_found(const std::string& name, const std::string& reason) {
  std::string line = "'" + name + "': " + reason;
  return name.find('/') == std::string::npos ? line + "; built in are 'recommended' and 'qemu'"
                                             : line;
}

}  // namespace

std::expected<std::string, std::string> read_text(const std::string& path) {
  const auto failed = [] { return std::unexpected(std::string(std::strerror(errno))); };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return failed();
  std::string text(kMaxText + 1, '\0');
  std::size_t size = 0;
  ssize_t got = 0;
  while (size < text.size()) {
    got = ::read(fd, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  const int error = errno;
  ::close(fd);
  errno = error;
  if (got < 0) return failed();
  text.resize(size);
  return text;
}

std::expected<PolicySet, std::string> load(const std::string& name) {
  if (auto built_in = PolicySet::built_in(name)) return std::move(*built_in);
  const auto text = read_text(name);
  if (!text) return std::unexpected(not_found(name, text.error()));
  const auto binary = compile(*text);
  if (!binary) return std::unexpected(refusal(name, binary.error()));
  auto set = PolicySet::from_binary(*binary);
  if (!set) return std::unexpected(refusal(name, set.error()));
  return std::move(*set);
}

}  // namespace memfail::policy
