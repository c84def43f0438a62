// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop): sendmsg recvmsg
#include "shm/control_socket.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace memfail::shm {
namespace {

constexpr std::size_t kControlSize = CMSG_SPACE(sizeof(int) * kMaxMessageFds);

void take_descriptors(msghdr& header, Received& received) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      UniqueFd owned(fd);
      if (received.fd_count < kMaxMessageFds) received.fds[received.fd_count++] = std::move(owned);
    }
  }
}

}  // namespace

int send_message(int socket, std::span<const std::byte> message, std::span<const int> fds) {
  alignas(cmsghdr) std::array<std::byte, kControlSize> control{};
  iovec vector{const_cast<std::byte*>(message.data()), message.size()};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  if (fds.size() > kMaxMessageFds) return -EINVAL;
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(part), fds.data(), sizeof(int) * fds.size());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : 0;
}

std::expected<Received, int> receive_message(int socket, std::span<std::byte> buffer,
                                             std::size_t expected_fds) {
  alignas(cmsghdr) std::array<std::byte, kControlSize> control{};
  iovec vector{buffer.data(), buffer.size()};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  const std::size_t wanted = std::min(expected_fds, kMaxMessageFds);
  if (wanted > 0) {
    header.msg_control = control.data();
    // LEN, not SPACE: the padding of SPACE would let one descriptor more in.
    header.msg_controllen = CMSG_LEN(sizeof(int) * wanted);
  }
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return std::unexpected(-errno);
  Received received;
  received.size = static_cast<std::size_t>(got);
  received.truncated = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  if (wanted > 0) take_descriptors(header, received);
  return received;
}

}  // namespace memfail::shm
