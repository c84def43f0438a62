// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop): fcntl=unlock
#include "sidecar/journal/front.h"

#include <fcntl.h>

#include <atomic>
#include <utility>

namespace memfail::journal {
namespace {

// What is left of a lap behind `position`.
std::size_t left_in_lap(std::uint64_t position, std::size_t capacity) {
  return capacity - static_cast<std::size_t>(position % capacity);
}

}  // namespace

Front::Front(shm::UniqueFd fd, shm::Mapping mapping, wire::Id128 journal)
    : fd_(std::move(fd)), mapping_(std::move(mapping)), journal_(journal) {}

std::uint64_t Front::head() const {
  return std::atomic_ref(*word(kFrontHeadOffset)).load(std::memory_order_acquire);
}

std::uint64_t Front::tail() const {
  return std::atomic_ref(*word(kFrontTailOffset)).load(std::memory_order_acquire);
}

bool Front::append(const Record& record) {
  const std::uint64_t head = *word(kFrontHeadOffset);  // ours alone to change
  const std::size_t size = frame_size(record.payload.size());
  const std::size_t left = left_in_lap(head, capacity());
  const std::size_t skipped = size > left ? left : 0;
  if (size + skipped > capacity() - static_cast<std::size_t>(head - tail())) return false;
  if (skipped >= kFrameHeader) {
    write_frame(ring().subspan(head % capacity()), key_at(head), {RecordType::kPad, 0, 0, {}});
  }
  const std::uint64_t at = head + skipped;
  write_frame(ring().subspan(at % capacity()), key_at(at), record);
  // The frame first: whoever sees this head, or finds it after our death, finds it whole.
  std::atomic_ref(*word(kFrontHeadOffset)).store(at + size, std::memory_order_release);
  return true;
}

FrontItem Front::read(std::uint64_t position) const {
  const std::uint64_t end = head();
  for (;;) {
    if (position >= end) return {FrontRead::kEmpty, {}, end};
    const std::size_t left = left_in_lap(position, capacity());
    if (left < kFrameHeader) {
      position += left;
      continue;
    }
    const Frame frame = read_frame(ring().subspan(position % capacity()), key_at(position));
    if (frame.state != FrameState::kWhole) return {FrontRead::kDamaged, {}, position};
    if (frame.record.type == RecordType::kPad) {
      position += left;
      continue;
    }
    if (frame.size > end - position) return {FrontRead::kDamaged, {}, position};
    return {FrontRead::kRecord, frame.record, position + frame.size};
  }
}

void Front::release(std::uint64_t position) {
  std::atomic_ref(*word(kFrontTailOffset)).store(position, std::memory_order_release);
}

void Front::cut(std::uint64_t position) {
  std::atomic_ref(*word(kFrontHeadOffset)).store(position, std::memory_order_release);
}

// Closing alone would not do: the mapping keeps the file open, and with it the lock.
void Front::unlock() {
  struct flock region{};
  region.l_type = F_UNLCK;
  region.l_whence = SEEK_SET;
  (void)::fcntl(fd_.get(), F_OFD_SETLK, &region);
  fd_.reset();
}

}  // namespace memfail::journal
