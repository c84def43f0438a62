// SPDX-License-Identifier: BSD-3-Clause
//
// What the clients of the two text sockets share: their owner.
#pragma once

#include <string>
#include <string_view>

#include "shm/unique_fd.h"

namespace memfail::server {

class CtlClient;

class ClientOwner {
 public:
  // Some client is over() and may be destroyed, at the end of this turn.
  virtual void client_over() = 0;
  // Its socket, which is at its end.
  virtual void part_with(shm::UniqueFd socket) = 0;

  // One line of JSON for one line of JSON. Empty: `client` is told later.
  virtual std::string answer_operator(CtlClient& client, std::string_view request) = 0;
  // Whatever it waits for, nobody does any more.
  virtual void operator_left(CtlClient& client) = 0;

 protected:
  ~ClientOwner() = default;
};

}  // namespace memfail::server
