// SPDX-License-Identifier: BSD-3-Clause
#include "shm/lane.h"

#include <algorithm>
#include <atomic>

#include "shm/raw_syscall.h"

namespace memfail::shm {
namespace {

constexpr long kNoSuchProcess = -3;  // -ESRCH

std::atomic_ref<std::uint64_t> word_at(std::byte* base, std::size_t offset) {
  return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(base + offset));
}

bool thread_is_gone(std::uint32_t pid, std::uint32_t tid) {
  return raw_syscall(SYS_tgkill, pid, tid, 0) == kNoSuchProcess;
}

// A slot is busy while its incident is committed and not retired, or while its
// claimer lives and has not committed yet.
bool slot_is_free(const RequestView& request, const ReplyView& reply, CellId slot,
                  std::uint64_t owner, std::uint64_t next, std::uint32_t pid) {
  const auto tid = static_cast<std::uint32_t>(owner);
  if (tid == 0) return true;
  const std::uint64_t done = done_until(request, reply, slot);
  if (done >= next) return true;
  const std::uint64_t word = load_word(request.line(slot, LineKind::kReport), wire::kWordOffset);
  return word != committed_word(next) && thread_is_gone(pid, tid);
}

}  // namespace

std::uint64_t done_until(const RequestView& request, const ReplyView& reply, CellId id) {
  return std::max(request.freed(id), reply.retired(id));
}

std::optional<Claim> claim_in_lane(const RequestView& request, const ReplyView& reply,
                                   std::uint32_t lane) {
  auto next = word_at(request.lane(lane), wire::kLaneNextOffset);
  std::uint64_t claimed = next.load(std::memory_order_relaxed);
  while (true) {
    const std::uint64_t n = claimed + 1;
    const CellId id{lane, request.geometry().cell_of(lane, n)};
    // The peer's word is only compared: a lie makes the lane look full or hands
    // out a cell whose old incident the peer has given up.
    if (request.geometry().next_in_cell(id, done_until(request, reply, id)) != n) return {};
    if (next.compare_exchange_strong(claimed, n, std::memory_order_acq_rel)) return Claim{id, n};
  }
}

std::optional<Claim> claim_slot(const RequestView& request, const ReplyView& reply,
                                std::uint32_t pid, std::uint32_t tid) {
  const std::uint32_t first = request.geometry().vcpus();
  for (std::uint32_t lane = first; lane < first + kSlots; ++lane) {
    const CellId id{lane, 0};
    auto owner_word = word_at(request.lane(lane), wire::kLaneOwnerOffset);
    auto next_word = word_at(request.lane(lane), wire::kLaneNextOffset);
    std::uint64_t owner = owner_word.load(std::memory_order_acquire);
    const std::uint64_t next = next_word.load(std::memory_order_acquire);
    if (!slot_is_free(request, reply, id, owner, next, pid)) continue;
    // The count in the upper half makes every claim a new value: no ABA.
    const std::uint64_t mine = ((owner >> 32) + 1) << 32 | tid;
    if (!owner_word.compare_exchange_strong(owner, mine, std::memory_order_acq_rel)) continue;
    const std::uint64_t done = done_until(request, reply, id);
    if (next > done) {  // the dead claimer's sequence is used again
      word_at(request.counters(), 8).fetch_add(1, std::memory_order_relaxed);
    }
    next_word.store(done + 1, std::memory_order_release);
    return Claim{id, done + 1};
  }
  return {};
}

void count_lost_report(const RequestView& request) {
  word_at(request.counters(), 0).fetch_add(1, std::memory_order_relaxed);
}

void keep_retired(const RequestView& request, const ReplyView& dead) {
  const Geometry& geometry = request.geometry();
  for (std::uint32_t lane = 0; lane < geometry.lanes(); ++lane) {
    for (std::uint32_t cell = 0; cell < geometry.cells(lane); ++cell) {
      const CellId id{lane, cell};
      const std::uint64_t done = done_until(request, dead, id);
      store_word(request.lane(lane), wire::kLaneFreedOffset + cell * 8, done);
    }
  }
}

}  // namespace memfail::shm
