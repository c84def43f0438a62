// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/server/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "sidecar/server/stream_socket.h"

namespace memfail::server {

Manager::Manager() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path == nullptr || std::strlen(path) < 2 || std::strlen(path) >= sizeof address.sun_path) {
    return;
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::strlen(path));
  if (path[0] == '@') address.sun_path[0] = '\0';  // abstract
  shm::UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  const bool connected =
      fd.valid() && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0;
  if (connected) fd_ = std::move(fd);
}

void Manager::tell(const char* state) const {
  if (fd_.valid()) (void)send_now(fd_.get(), {state, std::strlen(state)});
}

}  // namespace memfail::server
