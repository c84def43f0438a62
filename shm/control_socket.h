// SPDX-License-Identifier: BSD-3-Clause
//
// One message a packet over SOCK_SEQPACKET, with descriptors. Nothing here blocks.
#pragma once

#include <array>
#include <cstddef>
#include <expected>
#include <span>
#include <utility>

#include "shm/unique_fd.h"

namespace memfail::shm {

inline constexpr std::size_t kMaxMessage = 32 * 1024;
inline constexpr std::size_t kMaxMessageFds = 4;  // of one that we send
// Of any message: the kernel lets no more pass (SCM_MAX_FD).
inline constexpr std::size_t kMostReceivedFds = 253;

// Sends `message` whole, or not at all. 0, or negative errno (-EAGAIN: full).
int send_message(int socket, std::span<const std::byte> message, std::span<const int> fds = {});

// Descriptors that nobody asked for. (Numbers, not UniqueFd: of a long array of objects that
// do not begin as zeros GCC 12 gets some wrong under -ftrivial-auto-var-init=zero.)
class SurplusFds {
 public:
  SurplusFds() = default;
  SurplusFds(SurplusFds&& other) noexcept
      : fds_(other.fds_), count_(std::exchange(other.count_, 0)) {}
  SurplusFds& operator=(SurplusFds&& other) noexcept {
    close_all();
    fds_ = other.fds_;
    count_ = std::exchange(other.count_, 0);
    return *this;
  }
  ~SurplusFds() { close_all(); }

  [[nodiscard]] std::size_t size() const { return count_; }
  void add(UniqueFd fd) {
    if (count_ < fds_.size()) fds_[count_++] = fd.release();
  }
  // Invalid: there are no more.
  UniqueFd take() { return count_ == 0 ? UniqueFd() : UniqueFd(fds_[--count_]); }

 private:
  void close_all() {
    while (take().valid()) {
    }
  }

  std::array<int, kMostReceivedFds> fds_{};
  std::size_t count_ = 0;
};

struct Received {
  std::size_t size = 0;  // 0: the peer hung up
  std::array<UniqueFd, kMaxMessageFds> fds;
  std::size_t fd_count = 0;
  SurplusFds surplus;
  bool truncated = false;  // message or descriptors did not fit: end the session
};

// Receives one packet into `buffer`. Of more than `expected_fds` descriptors the others are
// `surplus`: what the kernel has no room for it closes on this thread, and a close can wait
// for whoever sent it. For that reason a packet with descriptors where none is expected is
// `truncated`, too, and stays unread, unless surplus ones are taken: there is room for them.
// Received descriptors are close-on-exec. Error: negative errno (-EAGAIN: nothing there).
std::expected<Received, int> receive_message(int socket, std::span<std::byte> buffer,
                                             std::size_t expected_fds, bool take_surplus = false);

// Whether what is unread in `socket` has descriptors, which its close would close as well,
// on the same thread. Ends it in both directions first: nothing comes after the look. What
// is unread is gone afterwards.
bool holds_descriptors(int socket);

}  // namespace memfail::shm
