// SPDX-License-Identifier: BSD-3-Clause
//
// First contact with a descriptor that a peer sent. Until a check has passed,
// only calls that cannot block touch it: a descriptor of a FUSE file can hold
// fstat, epoll_ctl and even close for ever. That is why the order of the calls
// in the .cc file matters, and why what fails here must be closed by a thread
// that may hang (the caller's business).
#pragma once

#include <cstddef>
#include <expected>

#include "shm/error.h"

namespace memfail::shm {

// Seals every area must contain (more are fine): the peer can neither resize it
// under us nor map it writable, even through /proc/self/fd.
extern const int kAreaSeals;

// A tmpfs memfd of exactly `size` bytes, sealed with kAreaSeals, all its blocks
// allocated. `field` names it in errors.
std::expected<void, Error> check_area_descriptor(int fd, std::size_t size, const char* field);

// An eventfd, or what reads like one (newer kernels: a timerfd; it can do a session
// no more harm): read with RWF_NOWAIT, which drains it. O_NONBLOCK is not trusted:
// it belongs to the shared open file and the peer can clear it.
std::expected<void, Error> check_eventfd(int fd, const char* field);

// A pidfd.
std::expected<void, Error> check_pidfd(int fd, const char* field);

// Takes pending kicks off an eventfd without ever blocking. True if there were.
bool drain_eventfd(int fd);

}  // namespace memfail::shm
