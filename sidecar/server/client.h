// SPDX-License-Identifier: BSD-3-Clause
//
// What the clients of the two text sockets share: their owner.
#pragma once

#include <string>
#include <string_view>

namespace memfail::server {

class ClientOwner {
 public:
  // Some client is over() and may be destroyed, at the end of this turn.
  virtual void client_over() = 0;

  // One line of JSON for one line of JSON.
  virtual std::string answer_operator(std::string_view request) = 0;

 protected:
  ~ClientOwner() = default;
};

}  // namespace memfail::server
