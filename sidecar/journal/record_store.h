// SPDX-License-Identifier: BSD-3-Clause
//
// Where records go. This one keeps them in memory, bounded, append-only: the
// seam at which the front and the journal on disk take its place.
//
// - A verdict record is a promise: it has no seq and no reader is shown it. It
//   is found again by its incident, so that a verdict is never given twice.
// - An event record gets the next seq; readers ask for them by seq.
//
// One thread. append_verdict() and find_verdict() allocate nothing: they stand
// between a signal and its answer.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sidecar/journal/event_fields.h"

namespace memfail::journal {

struct IncidentId {
  wire::Id128 session;
  std::uint32_t lane = 0;
  std::uint64_t sequence = 0;

  bool operator==(const IncidentId& other) const {
    return session.low() == other.session.low() && session.high() == other.session.high() &&
           lane == other.lane && sequence == other.sequence;
  }
};

struct VerdictRecord {
  IncidentId id;
  wire::ReplyLine reply;  // as answered; word and crc mean nothing here
};

class RecordStore {
 public:
  static constexpr std::size_t kEvents = 4096;
  static constexpr std::size_t kVerdicts = 4096;

  // `id` names the journal to readers: a seq is only good under its id.
  explicit RecordStore(std::string id);

  const std::string& id() const { return id_; }
  std::uint64_t first_seq() const;  // oldest event still kept; next_seq() when none is
  std::uint64_t next_seq() const { return next_seq_; }

  void append_verdict(const VerdictRecord& record);
  std::optional<VerdictRecord> find_verdict(const IncidentId& id) const;

  // Returns the event's seq. The oldest event makes room.
  std::uint64_t append_event(const EventFields& fields);

  // The record of one event, valid until kEvents more have come; null where it
  // is gone or not there yet.
  const wire::EventRecord* event(std::uint64_t seq) const;

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct VerdictSlot {
    VerdictRecord record;
    std::uint32_t next = kNone;  // in the same bucket
    bool used = false;
  };

  static std::size_t bucket_of(const IncidentId& id);
  void unlink(std::uint32_t slot);

  std::string id_;
  std::uint64_t next_seq_ = 1;
  std::vector<std::vector<std::uint8_t>> events_;
  flatbuffers::FlatBufferBuilder builder_{1024};
  std::vector<VerdictSlot> verdicts_;
  std::vector<std::uint32_t> buckets_;
  std::uint32_t next_verdict_ = 0;
};

// "memory-" and 64 random bits: two stores are never taken for one another.
std::string make_memory_journal_id();

}  // namespace memfail::journal
