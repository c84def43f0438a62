// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/event_history.h"

#include <algorithm>
#include <utility>

namespace memfail::journal {
namespace {

const wire::EventRecord* find_event(const std::vector<PastEvent>& events, std::uint64_t seq) {
  const auto found = std::ranges::lower_bound(events, seq, {}, &PastEvent::seq);
  if (found == events.end() || found->seq != seq) return nullptr;
  return wire::GetEventRecord(found->record.data());
}

}  // namespace

const EventHistory::Chunk* EventHistory::chunk_of(std::uint64_t seq) const {
  const auto found = std::ranges::find_if(
      chunks_, [seq](const Chunk& chunk) { return chunk.from <= seq && seq < chunk.end; });
  return found == chunks_.end() ? nullptr : &*found;
}

Fetch EventHistory::fetch(std::uint64_t seq) {
  if (store_.event(seq) != nullptr) return Fetch::kHere;
  if (const Chunk* chunk = chunk_of(seq)) {
    return find_event(chunk->events, seq) != nullptr ? Fetch::kHere : Fetch::kGone;
  }
  if (thread_ == nullptr) return Fetch::kGone;
  // In the front alone, and no longer in memory: once it is on the disk it can be read.
  if (!store_.durable(seq)) return Fetch::kLater;
  // If too many ask at once, the next answer that comes has this reader ask again.
  if (!asked_.contains(seq) && thread_->ask(seq, seq, kChunk)) asked_.insert(seq);
  return Fetch::kLater;
}

const wire::EventRecord* EventHistory::event(std::uint64_t seq) const {
  if (const wire::EventRecord* event = store_.event(seq)) return event;
  const Chunk* chunk = chunk_of(seq);
  return chunk == nullptr ? nullptr : find_event(chunk->events, seq);
}

bool EventHistory::take_answers() {
  if (thread_ == nullptr) return false;
  const auto answers = thread_->take_answers();
  for (const PastAnswer& answer : answers) asked_.erase(answer.id);
  for (const PastAnswer& answer : answers) {
    // What cannot be read, and what is not there, is a hole of one: the reader goes on.
    Chunk chunk{answer.id, answer.id + 1, {}};
    if (answer.past) {
      chunk.end = std::max(chunk.end, answer.past->next);
      chunk.events = answer.past->events;
    }
    chunks_.push_front(std::move(chunk));
  }
  while (chunks_.size() > kChunks) chunks_.pop_back();
  return !answers.empty();
}

}  // namespace memfail::journal
