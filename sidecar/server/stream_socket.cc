// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop): sendmsg recvmsg
#include "sidecar/server/stream_socket.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>

namespace memfail::server {

ssize_t send_now(int fd, std::span<const char> bytes) {
  // sendmsg() does not write to it.
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  return ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t receive_now(int fd, std::span<char> bytes) {
  iovec part{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  // Without room for descriptors a look closes none, and says whether there are any.
  const ssize_t there = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_PEEK);
  if (there <= 0) return there;
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    errno = EPROTO;
    return -1;
  }
  part.iov_len = static_cast<std::size_t>(there);  // what was looked at, and no more
  return ::recvmsg(fd, &message, MSG_DONTWAIT);
}

}  // namespace memfail::server
