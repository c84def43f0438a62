// SPDX-License-Identifier: BSD-3-Clause
//
// Events for readers: those in memory at once, older ones out of the journal's files,
// which only the journal thread reads. What it brought is kept for a while, so that
// each reader that waits finds it.
#pragma once

#include <cstdint>
#include <list>
#include <set>
#include <string>

#include "sidecar/journal/event_source.h"
#include "sidecar/journal/journal_thread.h"
#include "sidecar/journal/record_store.h"

namespace memfail::journal {

class EventHistory final : public EventSource {
 public:
  // Chunks kept, and what one holds at most: what readers of the past cost in memory.
  static constexpr std::size_t kChunks = 32;
  static constexpr PastLimit kChunk{.events = 128, .bytes = std::size_t{64} << 10};

  explicit EventHistory(const RecordStore& store) : store_(store) {}

  // Where the past is read; none: what is not in memory is gone.
  void use(JournalThread* thread) { thread_ = thread; }

  // The thread has rung: takes its answers. True: readers that wait may look again.
  bool take_answers();

  const std::string& id() const override { return store_.id(); }
  std::uint64_t first_seq() const override { return store_.first_seq(); }
  std::uint64_t next_seq() const override { return store_.next_readable(); }
  std::uint64_t next_recorded() const override { return store_.next_seq(); }
  Fetch fetch(std::uint64_t seq) override;
  const wire::EventRecord* event(std::uint64_t seq) const override;
  bool durable(std::uint64_t seq) const override { return store_.durable(seq); }

 private:
  struct Chunk {
    std::uint64_t from = 0;
    std::uint64_t end = 0;  // the first seq that it says nothing of
    std::vector<PastEvent> events;
  };

  const Chunk* chunk_of(std::uint64_t seq) const;

  const RecordStore& store_;
  JournalThread* thread_ = nullptr;
  std::list<Chunk> chunks_;         // the latest first
  std::set<std::uint64_t> asked_;   // by the seq they begin with
};

}  // namespace memfail::journal
