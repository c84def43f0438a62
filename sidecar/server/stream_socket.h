// SPDX-License-Identifier: BSD-3-Clause
//
// send() and recv() by the calls that the control socket uses anyway: two names less in
// the filter. Neither waits, and a peer that is gone is EPIPE, not a signal.
#pragma once

#include <span>

#include <sys/types.h>

namespace memfail::server {

// As send() and recv(): bytes, or -1 and errno; EPROTO where descriptors come along. Those
// stay unread: the kernel would close them on this thread, and a close can wait.
ssize_t send_now(int fd, std::span<const char> bytes);
ssize_t receive_now(int fd, std::span<char> bytes);

}  // namespace memfail::server
