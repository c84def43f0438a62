// SPDX-License-Identifier: BSD-3-Clause
#include "tests/hostile/lingering_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <utility>

namespace memfail::hostile {
namespace {

constexpr int kLingersFor = 60;  // seconds

sockaddr* as_address(sockaddr_in& address) { return reinterpret_cast<sockaddr*>(&address); }

}  // namespace

LingeringSocket::LingeringSocket() {
  const shm::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  shm::UniqueFd ours(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool connected = ::bind(listener.get(), as_address(address), size) == 0 &&
                         ::listen(listener.get(), 1) == 0 &&
                         ::getsockname(listener.get(), as_address(address), &size) == 0 &&
                         ::connect(ours.get(), as_address(address), size) == 0;
  if (!connected) return;
  peer.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  constexpr std::array<char, 65536> kBytes{};
  while (::send(ours.get(), kBytes.data(), kBytes.size(), MSG_DONTWAIT) > 0) {
  }
  const linger how{.l_onoff = 1, .l_linger = kLingersFor};
  if (::setsockopt(ours.get(), SOL_SOCKET, SO_LINGER, &how, sizeof how) != 0) return;
  fd = std::move(ours);
}

}  // namespace memfail::hostile
