// SPDX-License-Identifier: BSD-3-Clause
//
// A VM that behaves, and what it gets while others do not.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "peer.h"

namespace memfail::hostile {

struct Latencies {
  std::vector<std::uint64_t> ns;  // from the snapshot's commit to the verdict, ascending
  int unanswered = 0;

  std::uint64_t at(double share) const;  // 0.5: the median
};

class Bystander {
 public:
  explicit Bystander(const std::string& socket);
  bool attached() const { return attached_; }

  // Incidents, one after the other, for so long.
  Latencies serve(int milliseconds);
  // Sees that memfaild is gone, within 5 s.
  bool is_hung_up() { return peer_.receive().bytes.empty(); }

 private:
  bool incident(Latencies& into);

  test::Peer peer_;
  bool attached_;
  std::uint64_t page_ = 0;
};

}  // namespace memfail::hostile
