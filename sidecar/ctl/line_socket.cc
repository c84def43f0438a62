// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/line_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace memfail::ctl {
namespace {

std::string advice(int error) {
  switch (error) {
    case ENOENT:
      return "; is memfaild running, and is this the path of its --ctl or --events?";
    case ECONNREFUSED:
      return "; memfaild is not running: start it again";
    case EACCES:
      return "; run this as the user of memfaild, or as a member of its group";
    case EPROTOTYPE:
      return "; this is the VMs' socket: give the path of --ctl or --events";
    default:
      return "";
  }
}

}  // namespace

std::expected<LineSocket, std::string> LineSocket::open(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) {
    return std::unexpected("'" + path + "': the path is " + std::to_string(path.size()) +
                           " bytes long, the limit is 107");
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  shm::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid() ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    return std::unexpected("'" + path + "': " + std::strerror(error) + advice(error));
  }
  return LineSocket(std::move(fd));
}

bool LineSocket::send(const std::string& line) {
  return ::send(fd_.get(), line.data(), line.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(line.size());
}

std::optional<std::string> LineSocket::receive() {
  for (;;) {
    const std::size_t newline = buffer_.find('\n');
    if (newline != std::string::npos) {
      std::string line = buffer_.substr(0, newline);
      buffer_.erase(0, newline + 1);
      return line;
    }
    std::array<char, 65536> bytes{};
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace memfail::ctl
