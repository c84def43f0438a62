// SPDX-License-Identifier: BSD-3-Clause
//
// What the load VM writes down of itself: shared memory that the test made and keeps,
// so that it outlives the VM, whatever instruction it dies at.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace memfail::kill {

inline constexpr std::uint32_t kLanes = 8;
inline constexpr std::uint64_t kEntriesPerLane = 1 << 17;

struct Pace {
  // Between two incidents of a vCPU, at most; half of it on average.
  std::uint64_t most_idle_us = 10'000;
  // Of a page: far more than the policy's repeat_seconds (sidecar_process.cc), as an
  // incident may lie for a while before it is an event.
  std::uint64_t page_rest_ms = 5000;
};

// How far an incident had come for certain. It may be one step further: each is
// written after the fact, but for kBegun, which comes before it.
enum class Progress : std::uint32_t {
  kNone = 0,
  kBegun,     // about to be raised
  kReported,  // the handler has returned: its report is committed
  kEnded,     // its outcome is committed, and `told` says what it was
};

// Numbers of schema/incident.fbs.
struct Told {
  std::uint8_t verdict = 0;
  std::uint8_t decided_by = 0;
  std::uint8_t delivered = 0;
  std::uint8_t reason = 0;
  std::uint8_t bank = 0;
  std::uint64_t status = 0;
  std::uint64_t mcg_status = 0;
  std::uint64_t gpa = 0;
};

// One incident of a lane, by its sequence.
struct Entry {
  std::atomic<Progress> progress;
  std::atomic<std::uint32_t> machine_checks;  // counted before each is set
  std::uint64_t gpa;                          // of the page that broke
  Told told;
};

struct LoadLog {
  // The test's word to the VM.
  std::atomic<std::uint32_t> pause;
  // The VM's own.
  std::atomic<std::uint32_t> ready;
  std::atomic<std::uint32_t> parked;  // lanes that found `pause` and are at rest
  std::atomic<std::uint32_t> wrong;   // what the VM itself found to be wrong
  std::array<char, 256> what_is_wrong;
  // memfail_shim_state(), as often as dispatch ran or it was asked for.
  std::atomic<std::uint32_t> asked;  // answers to kSayState so far
  std::atomic<std::uint32_t> state;
  std::atomic<std::uint64_t> session_low, session_high;
  std::atomic<std::uint64_t> attaches, fallbacks, lost_reports, slices;
  // Highest sequence begun, by lane; its entries.
  std::array<std::atomic<std::uint64_t>, kLanes> begun;
  std::array<std::array<Entry, kEntriesPerLane>, kLanes> entries;

  Entry& entry(std::uint32_t lane, std::uint64_t sequence) { return entries[lane][sequence - 1]; }
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// Commands: one byte each, on the VM's standard input. Its end ends the VM.
inline constexpr char kAttachNow = 'a';  // rather than when the back-off is over
inline constexpr char kSayState = 's';

inline constexpr int kLogDescriptor = 3;

}  // namespace memfail::kill
