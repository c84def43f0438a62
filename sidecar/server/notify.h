// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "shm/unique_fd.h"

namespace memfail::server {

// The service manager, if there is one: connected while sockets have names.
class Manager {
 public:
  // Reads NOTIFY_SOCKET.
  Manager();
  // e.g. "READY=1". Does not wait, and does not say whether anybody listens.
  void tell(const char* state) const;
  int fd() const { return fd_.get(); }

 private:
  shm::UniqueFd fd_;
};

}  // namespace memfail::server
