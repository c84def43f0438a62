// SPDX-License-Identifier: BSD-3-Clause
//
// syscall(loop): futex=wake-shared
#include "shm/reply_wait.h"

#include <linux/futex.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <climits>

#include "shm/fence.h"
#include "shm/raw_syscall.h"
#include "shm/step.h"

namespace memfail::shm {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr long kTimedOut = -110;  // -ETIMEDOUT
constexpr long kNotPermitted = -1;  // -EPERM
constexpr long kNoSuchCall = -38;  // -ENOSYS

std::atomic_ref<std::uint32_t> flag(std::uint32_t* at) {
  return std::atomic_ref<std::uint32_t>(*at);
}

std::uint32_t* futex_of(std::byte* reply_line) {
  return reinterpret_cast<std::uint32_t*>(reply_line);  // low half, little-endian
}

// FUTEX_WAIT, shared, relative: the form that VMMs' own filters already allow.
long futex_wait(std::uint32_t* at, std::uint32_t seen, std::uint64_t ns) {
  const timespec limit{static_cast<time_t>(ns / (1000 * kNsPerMs)),
                       static_cast<long>(ns % (1000 * kNsPerMs))};
  return raw_syscall(SYS_futex, as_argument(at), FUTEX_WAIT, seen, as_argument(&limit));
}

void futex_wake(std::uint32_t* at) { raw_syscall(SYS_futex, as_argument(at), FUTEX_WAKE, INT_MAX); }

constexpr std::size_t kFlagsOffset = 16;  // of a reply line's `flags`: see incident.fbs

// Seen before and after the line's word is seen committed, it is that line's: before
// it alone may be an older incident's, after it alone that of a line being written again.
bool is_on_record(const std::byte* line) {
  constexpr auto kBit = static_cast<std::uint64_t>(wire::ReplyFlag::journaled);
  return (load_word(line, kFlagsOffset) & kBit) != 0;
}

// Follows the reply word. It goes odd, then even, once for this incident: any
// other two moves are a lie.
class WordWatch {
 public:
  explicit WordWatch(std::uint64_t n) : n_(n) {}
  bool is_lie(std::uint64_t word) {
    if (word == last_ || word == writing_word(n_)) return false;
    const bool first_look = !seen_;
    seen_ = true;
    last_ = word;
    return !first_look && ++moves_ >= 2;
  }

 private:
  std::uint64_t n_;
  std::uint64_t last_ = 0;
  bool seen_ = false;
  int moves_ = 0;
};

}  // namespace

std::uint64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 * kNsPerMs +
         static_cast<std::uint64_t>(now.tv_nsec);
}

bool ring(const ReplyView& reply, int kick_fd) {
  full_fence();
  if (kick_fd < 0 || flag(reply.sleeping()).load(std::memory_order_relaxed) == 0) return false;
  const std::uint64_t one = 1;
  raw_syscall(SYS_write, kick_fd, as_argument(&one), sizeof one);
  MEMFAIL_STEP(sidecar_kicked);
  return true;
}

WaitResult wait_for_reply(const WaitContext& context, const Claim& claim, WaitCounts& counts) {
  std::byte* const line = context.reply->line(claim.id);
  auto waiter = flag(context.request->waiter(claim.id));
  auto up = flag(const_cast<std::uint32_t*>(context.session_up));
  WordWatch watch(claim.n);
  bool slice_ended = false;
  bool seen_before = false;  // not on record yet
  WaitResult result = WaitResult::kTimeout;
  waiter.store(1, std::memory_order_relaxed);
  MEMFAIL_STEP(wait_begun);
  while (true) {
    full_fence();
    // Asked before the look: a reply that comes after the deadline is never taken.
    const std::uint64_t now = monotonic_ns();
    if (now >= context.until_ns) break;
    const bool recorded = !context.on_record || is_on_record(line);
    const std::uint64_t word = load_word(line, wire::kWordOffset);
    const bool replied = word == committed_word(claim.n);
    if (replied && recorded && (!context.on_record || is_on_record(line))) {
      // A line written again has the word that was slept on: that wake-up may be missed.
      counts.found_by_slice += slice_ended && !seen_before ? 1 : 0;
      result = WaitResult::kReplied;
      break;
    }
    seen_before = seen_before || replied;
    if (watch.is_lie(word)) {
      result = WaitResult::kLying;
      break;
    }
    if (up.load(std::memory_order_acquire) == 0) {
      result = WaitResult::kSessionDown;
      break;
    }
    if (slice_ended) ring(*context.reply, context.kick_fd);
    ++counts.waits;
    const std::uint64_t ns = std::min(context.until_ns - now, kSliceMs * kNsPerMs);
    const long woken = futex_wait(futex_of(line), static_cast<std::uint32_t>(word), ns);
    slice_ended = woken == kTimedOut;
    // A filter that refuses the call: waiting would be spinning, so nobody waits.
    if (woken == kNotPermitted || woken == kNoSuchCall) break;
  }
  waiter.store(0, std::memory_order_relaxed);
  return result;
}

bool wake_waiter(const RequestView& request, const ReplyView& reply, CellId id) {
  full_fence();
  if (flag(request.waiter(id)).load(std::memory_order_relaxed) == 0) return false;
  futex_wake(futex_of(reply.line(id)));
  MEMFAIL_STEP(waiter_woken);
  return true;
}

void wake_all(const RequestView& request, const ReplyView& reply) {
  full_fence();
  const Geometry& geometry = request.geometry();
  for (std::uint32_t lane = 0; lane < geometry.lanes(); ++lane) {
    for (std::uint32_t cell = 0; cell < geometry.cells(lane); ++cell) {
      const CellId id{lane, cell};
      if (flag(request.waiter(id)).load(std::memory_order_relaxed) != 0) {
        futex_wake(futex_of(reply.line(id)));
      }
    }
  }
}

}  // namespace memfail::shm
