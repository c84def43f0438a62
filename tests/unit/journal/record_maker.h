// SPDX-License-Identifier: BSD-3-Clause
//
// Records as the loop thread would append them: numbered without holes, events
// with a seq each, of a few sessions that come and go.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "sidecar/journal/live_state.h"
#include "sidecar/journal/record_frame.h"

namespace memfail::journal {

inline const wire::Id128 kJournalId(0x1111222233334444u, 0x5555666677778888u);
inline const wire::Id128 kBootId(0xAAAAu, 0xBBBBu);

struct OwnedRecord {
  RecordType type = RecordType::kNone;
  std::uint64_t number = 0;
  std::uint64_t seq = 0;
  std::vector<std::byte> payload;

  [[nodiscard]] Record view() const { return {type, number, seq, payload}; }
};

std::vector<Record> views(const std::vector<OwnedRecord>& records, std::size_t from,
                          std::size_t count);

// The same seed makes the same records; another seed makes others with the same
// numbers and seqs.
class RecordMaker {
 public:
  explicit RecordMaker(std::uint64_t seed) : random_(seed) {}

  // The one that follows `state`, which it must be applied to before the next.
  OwnedRecord next(const LiveState& state);

 private:
  [[nodiscard]] OwnedRecord session(const LiveState& state, bool ended);
  [[nodiscard]] OwnedRecord verdict(const LiveState& state);
  [[nodiscard]] OwnedRecord event(const LiveState& state);

  std::mt19937_64 random_;
};

// All of it, as bytes that can be compared.
std::vector<std::byte> picture(const LiveState& state);

}  // namespace memfail::journal
