// SPDX-License-Identifier: BSD-3-Clause
//
// Descriptors: of any kind in any place, too many, missing, and such that hang.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <vector>

#include "peer.h"
#include "tests/hostile/attack.h"
#include "tests/hostile/odd_descriptor.h"
#include "tests/hostile/stuck_file.h"

namespace memfail::hostile {
namespace {

using test::HelloFields;
using test::Peer;

constexpr std::array kPlaces{&Peer::request_fd, &Peer::kick, &Peer::vmm};

HelloFields liar() { return {.session = {666, 2}, .name = "liar"}; }

void odd_in_any_place(const std::string& socket) {
  for (const OddDescriptor& odd : odd_descriptors()) {
    for (const auto place : kPlaces) {
      Peer peer(socket);
      peer.make_descriptors(liar());
      (peer.*place).reset(odd.make());
      peer.send_hello(liar());
      (void)peer.receive();
    }
  }
}

void one_for_another(const std::string& socket) {
  for (const auto a : kPlaces) {
    for (const auto b : kPlaces) {
      Peer peer(socket);
      peer.make_descriptors(liar());
      (peer.*a).reset(::dup((peer.*b).get()));
      peer.send_hello(liar());
      (void)peer.receive();
    }
  }
}

int connect_to(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? fd : -1;
}

// As many as the kernel lets one message carry; none may be left open.
void two_hundred_and_fifty_three(const std::string& socket) {
  constexpr std::size_t kMost = 253;
  const auto hello = Peer::hello_bytes(liar());
  const std::vector<int> fds(kMost, STDIN_FILENO);
  for (int i = 0; i < 50; ++i) {
    const int fd = connect_to(socket);
    iovec part{const_cast<std::byte*>(hello.data()), hello.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMost * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(kMost * sizeof(int));
    std::memcpy(CMSG_DATA(head), fds.data(), kMost * sizeof(int));
    (void)::sendmsg(fd, &message, MSG_NOSIGNAL);
    char byte = 0;
    (void)::recv(fd, &byte, 1, 0);
    ::close(fd);
  }
}

constexpr auto kAttacks = std::to_array<Attack>({
    {"odd descriptors in any place", odd_in_any_place, "refused"},
    {"one for another", one_for_another, "refused"},
    {"253 descriptors", two_hundred_and_fifty_three, "refused"},
    {"files that hang", send_files_that_hang, "refused"},
});

}  // namespace

std::span<const Attack> descriptor_attacks() { return kAttacks; }

// In every place; the thread that closes them waits for us, and then hellos are refused.
void send_files_that_hang(const std::string& socket) {
  const int stuck = open_stuck_file();
  if (stuck < 0) ::_exit(kCannotBeMade);
  for (int round = 0; round < 8; ++round) {
    for (const auto place : kPlaces) {
      Peer peer(socket);
      peer.make_descriptors(liar());
      (peer.*place).reset(::dup(stuck));
      peer.send_raw(Peer::hello_bytes(liar()), peer.hello_fds());
      (void)peer.receive();
      for (const auto other : kPlaces) (void)(peer.*other).release();  // our close() hangs as well
    }
  }
  for (;;) ::pause();
}

}  // namespace memfail::hostile
