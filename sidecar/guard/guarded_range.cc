// SPDX-License-Identifier: BSD-3-Clause
#include "sidecar/guard/guarded_range.h"

#include <algorithm>
#include <array>

namespace memfail::guard {
namespace {

constexpr unsigned kPageShift = 12;
constexpr unsigned kMaxShift = 40;  // beyond any page; an lsb is the kernel's word

// `size` 0: free. Written before it is set, so that the handler sees all or nothing.
struct Slot {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::size_t> size{0};
  std::atomic<bool> writable{false};
  std::atomic<bool> broken{false};
};

// Constant-initialized: the handler may run before and after everything else.
constinit std::array<Slot, GuardedRange::kMaxRanges> g_slots;
constinit std::atomic<std::uint32_t> g_used{0};  // slots from here on were never used

std::uint32_t take_slot() {
  const std::uint32_t used = g_used.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < used; ++i) {
    if (g_slots[i].size.load(std::memory_order_relaxed) == 0) return i;
  }
  if (used == g_slots.size()) return used;
  g_used.store(used + 1, std::memory_order_release);
  return used;
}

}  // namespace

GuardedRange::GuardedRange(std::span<const std::byte> memory, bool writable) {
  if (memory.empty()) return;
  const std::uint32_t slot = take_slot();
  if (slot == kMaxRanges) return;
  g_slots[slot].begin.store(reinterpret_cast<std::uintptr_t>(memory.data()),
                            std::memory_order_relaxed);
  g_slots[slot].writable.store(writable, std::memory_order_relaxed);
  g_slots[slot].broken.store(false, std::memory_order_relaxed);
  g_slots[slot].size.store(memory.size(), std::memory_order_release);
  slot_ = slot;
}

GuardedRange::~GuardedRange() {
  if (slot_ != kNone) g_slots[slot_].size.store(0, std::memory_order_release);
}

bool GuardedRange::is_broken() const {
  return slot_ != kNone && g_slots[slot_].broken.load(std::memory_order_acquire);
}

LostPart mark_broken(std::uintptr_t address, unsigned lsb) {
  const std::uint32_t used = g_used.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < used; ++i) {
    Slot& slot = g_slots[i];
    const std::size_t size = slot.size.load(std::memory_order_acquire);
    const std::uintptr_t begin = slot.begin.load(std::memory_order_relaxed);
    if (size == 0 || address < begin || address - begin >= size) continue;
    slot.broken.store(true, std::memory_order_release);
    const std::uintptr_t page = std::uintptr_t{1} << std::clamp(lsb, kPageShift, kMaxShift);
    const std::uintptr_t from = std::max(begin, address & ~(page - 1));
    const std::uintptr_t to = std::min(begin + size, (address & ~(page - 1)) + page);
    return {from, to - from, slot.writable.load(std::memory_order_relaxed)};
  }
  return {};
}

}  // namespace memfail::guard
