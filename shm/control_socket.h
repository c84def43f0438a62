// SPDX-License-Identifier: BSD-3-Clause
//
// One message a packet over SOCK_SEQPACKET, with descriptors. Nothing here blocks.
#pragma once

#include <array>
#include <cstddef>
#include <expected>
#include <span>

#include "shm/unique_fd.h"

namespace memfail::shm {

inline constexpr std::size_t kMaxMessage = 32 * 1024;
inline constexpr std::size_t kMaxMessageFds = 4;

// Sends `message` whole, or not at all. 0, or negative errno (-EAGAIN: full).
int send_message(int socket, std::span<const std::byte> message, std::span<const int> fds = {});

struct Received {
  std::size_t size = 0;  // 0: the peer hung up
  std::array<UniqueFd, kMaxMessageFds> fds;
  std::size_t fd_count = 0;
  bool truncated = false;  // message or descriptors did not fit: end the session
};

// Receives one packet into `buffer`. `expected_fds`: the control buffer holds
// exactly so many, and the kernel drops what exceeds it (`truncated`). Received
// descriptors are close-on-exec. Error: negative errno (-EAGAIN: nothing there).
std::expected<Received, int> receive_message(int socket, std::span<std::byte> buffer,
                                             std::size_t expected_fds);

}  // namespace memfail::shm
