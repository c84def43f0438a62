// SPDX-License-Identifier: BSD-3-Clause
//
// Memory of this process whose loss is not its end.
//
// Theory of operation. This process stands on the machine whose memory breaks, and a
// page of its own may be next. A guarded range is one that its owner can do without:
// the area of one VM, the ring that records go to. When an access to it meets a broken
// page, the handler (broken_page.h) puts a page of zeros in its place and marks the
// range; the access goes on, reads zeros, and whoever owns the range sees at the end
// of its turn that it is broken. Owners read only what they check, so zeros are as
// good as any other bytes of a peer.
//
// Ranges are entered and left by one thread; the handler runs on any.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace memfail::guard {

class GuardedRange {
 public:
  // So many at once: beyond it a range is not guarded, and its loss ends the process.
  static constexpr std::size_t kMaxRanges = 16384;

  GuardedRange() = default;
  // Of whole pages. `writable`: what comes in a lost page's place must be, too.
  GuardedRange(std::span<const std::byte> memory, bool writable);
  GuardedRange(GuardedRange&& other) noexcept : slot_(std::exchange(other.slot_, kNone)) {}
  GuardedRange& operator=(GuardedRange&& other) noexcept {
    std::swap(slot_, other.slot_);
    return *this;
  }
  GuardedRange(const GuardedRange&) = delete;
  GuardedRange& operator=(const GuardedRange&) = delete;
  ~GuardedRange();

  [[nodiscard]] bool is_guarded() const { return slot_ != kNone; }
  // A page of it was lost since it is guarded.
  [[nodiscard]] bool is_broken() const;

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  std::uint32_t slot_ = kNone;
};

// For the handler. Async-signal-safe. The part of the guarded range around `address`
// that one lost page of 2^lsb bytes takes with it, marked as broken; empty where the
// address is in none.
struct LostPart {
  std::uintptr_t begin = 0;
  std::size_t size = 0;
  bool writable = false;
};
LostPart mark_broken(std::uintptr_t address, unsigned lsb);

}  // namespace memfail::guard
