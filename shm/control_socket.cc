// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop): sendmsg recvmsg
#include "shm/control_socket.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace memfail::shm {
namespace {

constexpr std::size_t kSentControl = CMSG_SPACE(sizeof(int) * kMaxMessageFds);
constexpr std::size_t kReceivedControl = CMSG_SPACE(sizeof(int) * kMostReceivedFds);
// Packets that a sender's buffer can hold at the most: an empty one takes some 768 bytes of
// twice net.core.wmem_max, by default 208 KiB.
constexpr int kMostUnread = 1024;

void take_descriptors(msghdr& header, std::size_t expected, Received& received) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      UniqueFd owned(fd);
      if (received.fd_count < expected) {
        received.fds[received.fd_count++] = std::move(owned);
      } else {
        received.surplus.add(std::move(owned));
      }
    }
  }
}

ssize_t receive(int socket, msghdr& header, int flags) {
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &header, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  return got;
}

// A look without room for descriptors closes none: the packet keeps its own.
bool next_has_descriptors(int socket) {
  msghdr header{};
  return receive(socket, header, MSG_PEEK) >= 0 && (header.msg_flags & MSG_CTRUNC) != 0;
}

}  // namespace

int send_message(int socket, std::span<const std::byte> message, std::span<const int> fds) {
  alignas(cmsghdr) std::array<std::byte, kSentControl> control{};
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
                                             std::size_t expected_fds, bool take_surplus) {
  alignas(cmsghdr) std::array<std::byte, kReceivedControl> control;
  iovec vector{buffer.data(), buffer.size()};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  Received received;
  const std::size_t wanted = std::min(expected_fds, kMaxMessageFds);
  const bool takes_any = wanted > 0 || take_surplus;
  if (!takes_any && next_has_descriptors(socket)) {
    received.truncated = true;
    return received;
  }
  if (takes_any) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
  }
  const ssize_t got = receive(socket, header, 0);
  if (got < 0) return std::unexpected(-errno);
  received.size = static_cast<std::size_t>(got);
  if (takes_any) take_descriptors(header, wanted, received);
  received.truncated =
      (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || received.surplus.size() != 0;
  return received;
}

// An empty packet looks like the end, but it comes with its sender's credentials. For them
// there is room, for descriptors there is none.
bool holds_descriptors(int socket) {
  ::shutdown(socket, SHUT_RDWR);
  constexpr int kOn = 1;
  // A VMM's own filter may refuse it: then nobody looks, and the close may wait.
  if (::setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &kOn, sizeof kOn) != 0) return false;
  for (int i = 0; i < kMostUnread; ++i) {
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(ucred))> credentials;
    msghdr look{};
    look.msg_control = credentials.data();
    look.msg_controllen = credentials.size();
    const ssize_t got = receive(socket, look, MSG_PEEK);
    if (got >= 0 && (look.msg_flags & MSG_CTRUNC) != 0) return true;
    if (got >= 0 && look.msg_controllen == 0) return false;  // the end
    if (got < 0) continue;  // an error of the socket's is told once, and gone
    msghdr taken{};
    (void)receive(socket, taken, 0);
  }
  return true;
}

}  // namespace memfail::shm
