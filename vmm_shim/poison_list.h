// SPDX-License-Identifier: BSD-3-Clause
//
// The pages of the guest that this VMM knows to be broken: for the fallback's
// decisions, for what the guest is still to be told, and for the repair at a reset.
// The sidecar has its own table; this one is enough without it.
//
// Any thread but signal handlers. Its mutex is held for look-ups only.
#pragma once

#include <atomic>
#include <bitset>
#include <cstdint>

#include "shm/geometry.h"
#include "shm/mutex.h"
#include "sidecar/decision/input.h"

namespace memfail::shim {

struct PoisonedPage {
  std::uint64_t hva = 0;  // start of what was lost with it
  std::uint64_t gpa = 0;  // of that start; kNoAddress: none
  std::uint64_t size = 0;
  std::uint64_t window_ns = 0;  // since when `repeats` are counted
  std::uint32_t repeats = 0;    // rounds of action-required reports in that time
  std::uint32_t reports = 0;
  std::uint64_t first_ns = 0;  // CLOCK_MONOTONIC of the first and the last; 0: none here
  std::uint64_t last_ns = 0;
  std::bitset<512> met;         // small pages met in it; beyond 2 MiB some share a bit
  std::bitset<shm::kMaxVcpus> round;  // the vCPUs that met it in the last of these
  bool told = false;     // a record of it was delivered to the guest
  bool to_tell = false;  // remembered: the guest is to be told when it can be
  bool drill = false;    // an operator's drill: the memory is fine
  wire::Repair repair = wire::Repair::none;  // at the last guest reset
  std::uint64_t said_in = 0;  // the message that told the sidecar of `repair`; 0: none yet
};

class PoisonList {
 public:
  // `items` has room for `capacity` pages.
  void use(PoisonedPage* items, std::uint32_t capacity);

  // A report of a page: adds it, counts, and gives what was known. Outside guest RAM,
  // or without room: nothing is known. Many vCPUs may meet a page at once: only one
  // that meets it again begins another round.
  struct Report {
    decision::Severity severity = decision::Severity::kNone;
    bool drill = false;
    std::uint64_t now_ns = 0;
    std::int32_t vcpu = -1;  // -1: none's, a round of its own
  };
  decision::History note_report(const decision::Classification& where, const Report& report,
                                std::uint64_t window_ns);
  // Its access is tried again: not counted as a repeat.
  void take_back_repeat(const decision::Classification& where, std::int32_t vcpu = -1);
  void note_told(const decision::Classification& where);
  // Remembered: the guest is still to be told, or (false) not any more.
  void note_to_tell(const decision::Classification& where, bool to_tell);

  // Copies the first remembered page from `cursor` on; moves the cursor behind it.
  // False: none is left.
  bool next_to_tell(std::uint32_t& cursor, PoisonedPage& page) const;
  // Whether it is known, repaired neither, and no drill's.
  bool is_broken(std::uint64_t hva) const;
  bool has_to_tell() const { return to_tell_.load(std::memory_order_acquire) != 0; }

  // Copies page `index`; false: there are not so many.
  bool page(std::uint32_t index, PoisonedPage& page) const;
  void note_repair(std::uint64_t hva, wire::Repair repair);
  // Copies up to `capacity` pages whose repair the sidecar was not told of, marked as
  // told with message `id`; how many.
  std::uint32_t say_repairs(PoisonedPage* pages, std::uint32_t capacity, std::uint64_t id);
  // The sidecar has message `id`: what was repaired is broken no more.
  void repairs_heard(std::uint64_t id);
  // What was said in message `id`, or (0) in any, is to be said again.
  void repairs_unheard(std::uint64_t id);
  bool has_repairs() const { return repairs_.load(std::memory_order_acquire) != 0; }

  // As it came from elsewhere. False: no room, or there is one like it.
  bool add(const PoisonedPage& page);
  // The guest has forgotten everything.
  void forget_told();

  // A page that never came here. Signal handlers too.
  void note_left_out() { left_out_.fetch_add(1, std::memory_order_relaxed); }

  std::uint32_t capacity() const { return capacity_; }
  std::uint64_t size() const { return count_.load(std::memory_order_acquire); }
  std::uint64_t left_out() const { return left_out_.load(std::memory_order_acquire); }

 private:
  PoisonedPage* find(std::uint64_t hva) const MEMFAIL_REQUIRES(mutex_);
  PoisonedPage* find_or_add(const decision::Classification& where) MEMFAIL_REQUIRES(mutex_);
  void count_to_tell() MEMFAIL_REQUIRES(mutex_);
  void count_repairs() MEMFAIL_REQUIRES(mutex_);
  void remove(std::uint32_t index) MEMFAIL_REQUIRES(mutex_);

  mutable shm::Mutex mutex_;
  PoisonedPage* items_ MEMFAIL_POINTS_TO_GUARDED_BY(mutex_) = nullptr;
  std::uint32_t capacity_ = 0;
  std::atomic<std::uint32_t> count_{0};
  std::atomic<std::uint32_t> to_tell_{0};
  std::atomic<std::uint32_t> repairs_{0};  // that the sidecar was not told of
  std::atomic<std::uint64_t> left_out_{0};  // pages for which there was no room
};

}  // namespace memfail::shim
