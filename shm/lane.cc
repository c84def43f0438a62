// SPDX-License-Identifier: BSD-3-Clause
#include "shm/lane.h"

#include <algorithm>
#include <atomic>

#include "shm/raw_syscall.h"
#include "shm/step.h"

namespace memfail::shm {
namespace {

constexpr long kNoSuchProcess = -3;  // -ESRCH

std::atomic_ref<std::uint64_t> word_at(std::byte* base, std::size_t offset) {
  return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(base + offset));
}

bool thread_is_gone(std::uint32_t pid, std::uint32_t tid) {
  return raw_syscall(SYS_tgkill, pid, tid, 0) == kNoSuchProcess;
}

// The owner word of a slot says all of a claim at once, so that one instruction
// makes it: claims so far << 33 | lowest bit of n << 32 | tid. `next` follows and
// is only for readers. The count makes every claim a new value: no ABA.
std::uint64_t owner_word(std::uint64_t before, std::uint64_t n, std::uint32_t tid) {
  return ((before >> 33) + 1) << 33 | (n & 1) << 32 | tid;
}

bool is_claimed(std::uint64_t owner, std::uint64_t n) {
  return static_cast<std::uint32_t>(owner) != 0 && ((owner >> 32) & 1) == (n & 1);
}

// Claimed by a thread that died before it committed. The word is looked at again
// after the thread was found gone: it may have committed and died in between.
bool is_abandoned(const RequestView& request, CellId slot, std::uint64_t owner, std::uint64_t n,
                  std::uint32_t pid) {
  const std::byte* report = request.line(slot, LineKind::kReport);
  return load_word(report, wire::kWordOffset) != committed_word(n) &&
         thread_is_gone(pid, static_cast<std::uint32_t>(owner)) &&
         load_word(report, wire::kWordOffset) != committed_word(n);
}

}  // namespace

std::uint64_t done_until(const RequestView& request, const ReplyView& reply, CellId id) {
  const std::uint64_t freed = request.freed(id);
  const std::uint64_t retired = reply.retired(id);
  // Nobody can be done with what was never claimed or stands in another cell. A
  // peer that says so is ignored: its lie must not outlive it through `freed`.
  const std::uint64_t claimed = load_word(request.lane(id.lane), wire::kLaneNextOffset);
  const bool plausible =
      retired <= claimed && request.geometry().cell_of(id.lane, retired) == id.cell;
  return plausible ? std::max(freed, retired) : freed;
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
    if (request.geometry().next_in_cell(id, done_until(request, reply, id)) == n) {
      if (next.compare_exchange_strong(claimed, n, std::memory_order_acq_rel)) return Claim{id, n};
      continue;
    }
    // Full, unless a handler's claim came between and is done with already.
    const std::uint64_t now = next.load(std::memory_order_relaxed);
    if (now == claimed) return {};
    claimed = now;
  }
}

std::optional<Claim> claim_slot(const RequestView& request, const ReplyView& reply,
                                std::uint32_t pid, std::uint32_t tid) {
  const std::uint32_t first = request.geometry().vcpus();
  for (std::uint32_t lane = first; lane < first + kSlots; ++lane) {
    const CellId id{lane, 0};
    auto owner_at = word_at(request.lane(lane), wire::kLaneOwnerOffset);
    std::uint64_t owner = owner_at.load(std::memory_order_acquire);
    const std::uint64_t n = done_until(request, reply, id) + 1;
    const bool claimed = is_claimed(owner, n);
    if (claimed && !is_abandoned(request, id, owner, n, pid)) continue;
    const std::uint64_t mine = owner_word(owner, n, tid);
    if (!owner_at.compare_exchange_strong(owner, mine, std::memory_order_acq_rel)) continue;
    // The dead claimer's sequence is used again.
    if (claimed) word_at(request.counters(), 8).fetch_add(1, std::memory_order_relaxed);
    word_at(request.lane(lane), wire::kLaneNextOffset).store(n, std::memory_order_release);
    return Claim{id, n};
  }
  return {};
}

void count_lost_report(const RequestView& request) {
  word_at(request.counters(), 0).fetch_add(1, std::memory_order_relaxed);
}

void count_backing_store(const RequestView& request) {
  word_at(request.counters(), 16).fetch_add(1, std::memory_order_relaxed);
}

void keep_retired(const RequestView& request, const ReplyView& dead) {
  const Geometry& geometry = request.geometry();
  for (std::uint32_t lane = 0; lane < geometry.lanes(); ++lane) {
    for (std::uint32_t cell = 0; cell < geometry.cells(lane); ++cell) {
      const CellId id{lane, cell};
      const std::uint64_t done = done_until(request, dead, id);
      MEMFAIL_STEP(retired_read);
      store_word(request.lane(lane), wire::kLaneFreedOffset + std::size_t{cell} * 8, done);
    }
  }
}

}  // namespace memfail::shm
