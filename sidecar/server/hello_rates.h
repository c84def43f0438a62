// SPDX-License-Identifier: BSD-3-Clause
//
// How often whom may connect. An attach costs two areas, a journal record and time of the
// loop; a VM that connects over and over would take them from the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <string>
#include <tuple>

#include "sidecar/server/token_bucket.h"
#include "sidecar/session/session.h"

namespace memfail::server {

class HelloRates {
 public:
  // All VMs of a host come back at once when memfaild was replaced.
  static constexpr Rate kRate{.at_once = 1024, .per_second = 256};
  static constexpr std::size_t kMaxKnown = 4096;

  // User, group and label of the security module, as the kernel tells them.
  bool admit(const session::Identity& who, std::uint64_t now_ms) {
    const auto key = std::tuple(who.uid, who.gid, who.label);
    auto found = buckets_.find(key);
    if (found == buckets_.end()) {
      if (buckets_.size() >= kMaxKnown) forget_quiet_ones(now_ms);
      if (buckets_.size() >= kMaxKnown) return false;
      found = buckets_.emplace(key, TokenBucket(kRate, now_ms)).first;
    }
    return found->second.take(now_ms);
  }

 private:
  void forget_quiet_ones(std::uint64_t now_ms) {
    for (auto at = buckets_.begin(); at != buckets_.end();) {
      at = at->second.full(now_ms) ? buckets_.erase(at) : std::next(at);
    }
  }

  std::map<std::tuple<uid_t, gid_t, std::string>, TokenBucket> buckets_;
};

}  // namespace memfail::server
