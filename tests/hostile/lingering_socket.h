// SPDX-License-Identifier: BSD-3-Clause
//
// A TCP socket whose last close() waits for a minute: SO_LINGER, with bytes that its peer
// never takes.
#pragma once

#include "shm/unique_fd.h"

namespace memfail::hostile {

struct LingeringSocket {
  LingeringSocket();  // valid() says whether this host gives one

  bool valid() const { return fd.valid(); }

  shm::UniqueFd fd;    // not to be closed before a copy is on its way to somebody
  shm::UniqueFd peer;  // reads nothing; with it the waiting ends
};

}  // namespace memfail::hostile
