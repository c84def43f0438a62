// SPDX-License-Identifier: BSD-3-Clause
//
// Room for the verdicts that have no event yet. The first kFirst are allocated at
// the start, so that recording a verdict allocates nothing; more come by doubling.
#pragma once

#include <cstdint>
#include <vector>

#include "schema/journal_generated.h"

namespace memfail::journal {

class VerdictPool {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::uint32_t kFirst = 1024;

  VerdictPool() { grow(kFirst); }

  std::uint32_t put(const wire::VerdictRecord& verdict) {
    if (free_.empty()) grow(static_cast<std::uint32_t>(slots_.size()));
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    slots_[slot] = verdict;
    return slot;
  }
  void take(std::uint32_t slot) { free_.push_back(slot); }
  const wire::VerdictRecord& at(std::uint32_t slot) const { return slots_[slot]; }
  std::uint32_t used() const { return static_cast<std::uint32_t>(slots_.size() - free_.size()); }

 private:
  void grow(std::uint32_t by) {
    const auto from = static_cast<std::uint32_t>(slots_.size());
    slots_.resize(from + by);
    free_.reserve(slots_.size());
    for (std::uint32_t slot = from + by; slot > from; --slot) free_.push_back(slot - 1);
  }

  std::vector<wire::VerdictRecord> slots_;
  std::vector<std::uint32_t> free_;  // has room for all: take() allocates nothing
};

}  // namespace memfail::journal
