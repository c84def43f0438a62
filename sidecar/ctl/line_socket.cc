// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/ctl/line_socket.h"

#include <poll.h>
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

std::optional<std::string> LineSocket::take_line() {
  const std::size_t newline = buffer_.find('\n');
  if (newline == std::string::npos) return std::nullopt;
  std::string line = buffer_.substr(0, newline);
  buffer_.erase(0, newline + 1);
  return line;
}

bool LineSocket::receive_some() {
  std::array<char, 65536> bytes{};
  const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
  if (got > 0) buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  return got > 0 || (got < 0 && errno == EINTR);
}

std::optional<std::string> LineSocket::receive() {
  for (;;) {
    if (auto line = take_line()) return line;
    if (!receive_some()) return std::nullopt;
  }
}

std::optional<std::string> LineSocket::receive_until(std::chrono::steady_clock::time_point limit) {
  using Milliseconds = std::chrono::milliseconds;
  for (;;) {
    if (auto line = take_line()) return line;
    const auto left = std::chrono::ceil<Milliseconds>(limit - std::chrono::steady_clock::now());
    if (left <= Milliseconds(0)) return std::nullopt;
    pollfd one{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&one, 1, static_cast<int>(left.count()));
    if (ready > 0 && !receive_some()) return std::nullopt;
  }
}

}  // namespace memfail::ctl
