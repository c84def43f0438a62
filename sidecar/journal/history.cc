// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/journal/history.h"

#include <algorithm>

#include "schema/event_generated.h"

namespace memfail::journal {
namespace {

bool is_event(std::span<const std::byte> payload) {
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(payload.data()),
                                 payload.size());
  return wire::VerifyEventRecordBuffer(verifier);
}

bool full(const std::vector<PastEvent>& events, std::size_t bytes, const PastLimit& limit) {
  return events.size() >= limit.events || bytes >= limit.bytes;
}

}  // namespace

// True: the limit is reached; false: so is the file's end.
std::expected<bool, int> History::read_file(JournalFiles& files, std::uint32_t file, Past& past,
                                            const PastLimit& limit) {
  FilePart part = files.part_of(file);
  const SeqRange range = files.uses().events_of(file, files.durable_seq() + 1);
  if (mark_.generation == part.key.generation && mark_.seq == past.next) part.from = mark_.offset;
  std::size_t bytes = 0;
  for (const PastEvent& event : past.events) bytes += event.record.size();
  FileReader reader(files.io(), part);
  while (past.next < range.to) {
    if (full(past.events, bytes, limit)) return true;
    const auto frame = reader.next();
    if (!frame) return std::unexpected(frame.error());
    if (frame->state != FrameState::kWhole) break;
    const Record& record = frame->record;
    if (record.type != RecordType::kEvent || record.seq < past.next) continue;
    if (record.seq >= range.to || !is_event(record.payload)) break;
    past.events.push_back({record.seq, {record.payload.begin(), record.payload.end()}});
    bytes += record.payload.size();
    past.next = record.seq + 1;
    mark_ = {part.key.generation, reader.offset(), past.next};
  }
  past.next = std::max(past.next, range.to);
  return false;
}

std::expected<Past, int> History::read(JournalFiles& files, std::uint64_t seq,
                                       const PastLimit& limit) {
  const std::uint64_t end = files.durable_seq() + 1;
  Past past;
  past.next = std::min(std::max(seq, files.first_seq()), std::max(seq, end));
  while (past.next < end) {
    const auto file = files.uses().holder_of(past.next, end);
    if (!file) break;
    past.next = std::max(past.next, files.uses().events_of(*file, end).from);
    const auto reached = read_file(files, *file, past, limit);
    if (!reached) return std::unexpected(reached.error());
    if (*reached) break;
  }
  return past;
}

}  // namespace memfail::journal
