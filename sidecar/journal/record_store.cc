// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/record_store.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace memfail::journal {

RecordStore::RecordStore(std::string id)
    : id_(std::move(id)), events_(kEvents), verdicts_(kVerdicts), buckets_(kVerdicts, kNone) {}

std::uint64_t RecordStore::first_seq() const {
  return next_seq_ > kEvents ? next_seq_ - kEvents : 1;
}

std::size_t RecordStore::bucket_of(const IncidentId& id) {
  std::uint64_t hash = id.session.low() ^ (id.session.high() * 0x9E3779B97F4A7C15u);
  hash ^= (std::uint64_t{id.lane} << 40) + id.sequence;
  hash *= 0xFF51AFD7ED558CCDu;  // session ids come from a peer: it can only slow its own chain
  return static_cast<std::size_t>((hash >> 32) % kVerdicts);
}

void RecordStore::unlink(std::uint32_t slot) {
  std::uint32_t* link = &buckets_[bucket_of(verdicts_[slot].record.id)];
  while (*link != slot) link = &verdicts_[*link].next;
  *link = verdicts_[slot].next;
}

void RecordStore::append_verdict(const VerdictRecord& record) {
  const std::uint32_t slot = next_verdict_;
  next_verdict_ = static_cast<std::uint32_t>((slot + 1) % kVerdicts);
  if (verdicts_[slot].used) unlink(slot);
  std::uint32_t& head = buckets_[bucket_of(record.id)];
  verdicts_[slot] = {record, head, true};
  head = slot;
}

std::optional<VerdictRecord> RecordStore::find_verdict(const IncidentId& id) const {
  for (std::uint32_t slot = buckets_[bucket_of(id)]; slot != kNone; slot = verdicts_[slot].next) {
    if (verdicts_[slot].record.id == id) return verdicts_[slot].record;
  }
  return std::nullopt;
}

std::uint64_t RecordStore::append_event(const EventFields& fields) {
  const std::uint64_t seq = next_seq_++;
  builder_.Clear();
  encode(builder_, fields, seq);
  const std::uint8_t* bytes = builder_.GetBufferPointer();
  events_[seq % kEvents].assign(bytes, bytes + builder_.GetSize());
  return seq;
}

const wire::EventRecord* RecordStore::event(std::uint64_t seq) const {
  if (seq < first_seq() || seq >= next_seq_) return nullptr;
  return wire::GetEventRecord(events_[seq % kEvents].data());
}

std::string make_memory_journal_id() {
  std::uint64_t random = 0;
  (void)getrandom(&random, sizeof random, 0);  // cannot fail for so few bytes after boot
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "memory-%016llx",
                static_cast<unsigned long long>(random));
  return text.data();
}

}  // namespace memfail::journal
