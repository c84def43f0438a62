// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/connection.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "shm/control_socket.h"

namespace memfail::shim {

int connect_path(memfail_shim& shim) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  static_assert(sizeof address.sun_path == sizeof shim.socket_path);
  std::memcpy(address.sun_path, shim.socket_path.data(), sizeof address.sun_path);
  shm::UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return -errno;
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return -errno;
  }
  shim.session.socket = std::move(fd);
  return 0;
}

int renew_kick(Session& session) {
  const shm::UniqueFd fresh(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fresh.valid()) return -errno;
  return ::dup3(fresh.get(), session.kick.get(), O_CLOEXEC) < 0 ? -errno : 0;
}

void watch_socket(const Session& session, int operation, bool for_writing) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | (for_writing ? EPOLLOUT : 0U);
  event.data.fd = session.socket.get();
  ::epoll_ctl(session.epoll.get(), operation, session.socket.get(), &event);
}

void close_socket(Session& session) {
  const int fd = session.socket.get();
  if (fd >= 0) ::epoll_ctl(session.epoll.get(), EPOLL_CTL_DEL, fd, nullptr);
  if (fd >= 0 && shm::holds_descriptors(fd)) {
    (void)session.socket.release();
    ++session.set_aside;
  }
  session.socket.reset();
}

shm::Mapping bury_area(memfail_shim& shim) {
  const std::size_t size = shim.geometry.reply_size();
  // A second mapping of the same memory (old size 0); of the private page of zeros that
  // stood here before the first attach there is none, and nothing to be seen.
  void* dead = ::mremap(shim.reply_mapping.data(), 0, size, MREMAP_MAYMOVE);
  shm::Mapping out = dead == MAP_FAILED ? shm::Mapping() : shm::Mapping(dead, size);
  void* zeros = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (zeros == MAP_FAILED) return out;
  void* moved =
      ::mremap(zeros, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, shim.reply_mapping.data());
  if (moved == MAP_FAILED) ::munmap(zeros, size);
  return out;
}

}  // namespace memfail::shim
