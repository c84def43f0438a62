// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/siblings.h"

#include <algorithm>

#include "vmm_shim/handle.h"
#include "vmm_shim/snapshot.h"
#include "vmm_shim/wake.h"

namespace memfail::shim {
namespace {

// Siblings::tally: n << 33 | skipped << 22 | told << 11 | answers missing. The first
// vCPU counts as one that is missing until it has posted to all. At most 1024 vCPUs:
// no field runs over.
constexpr unsigned kNumberShift = 33;
constexpr std::uint64_t kMissing = 1;
constexpr std::uint64_t kTold = std::uint64_t{1} << 11;
constexpr std::uint64_t kSkipped = std::uint64_t{1} << 22;
constexpr std::uint64_t kCountMask = 0x7FF;
static_assert(shm::kMaxVcpus < kCountMask);

std::uint64_t missing(std::uint64_t tally) { return tally & kCountMask; }
std::uint16_t told(std::uint64_t tally) {
  return static_cast<std::uint16_t>(tally / kTold & kCountMask);
}
std::uint16_t skipped(std::uint64_t tally) {
  return static_cast<std::uint16_t>(tally / kSkipped & kCountMask);
}

bool is_open(std::uint64_t tally, std::uint64_t n) {
  return tally >> kNumberShift == n << kNumberShift >> kNumberShift && missing(tally) != 0;
}

enum class Counted : std::uint8_t { kTooLate, kMore, kLast };

// Adds `change` to incident n's tally unless the deadline has closed it. kLast: the
// caller has to commit the outcome.
Counted count(Siblings& siblings, std::uint64_t n, std::uint64_t change) {
  std::uint64_t tally = siblings.tally.load(std::memory_order_acquire);
  while (is_open(tally, n)) {
    const std::uint64_t next = tally + change;
    if (siblings.tally.compare_exchange_weak(tally, next, std::memory_order_acq_rel)) {
      return missing(next) == 0 ? Counted::kLast : Counted::kMore;
    }
  }
  return Counted::kTooLate;
}

// Puts what the siblings said into the outcome. A reset of one is the guest's.
void join(CellState& cell, std::uint64_t n) {
  wire::OutcomeLine& own = cell.outcome;
  const std::uint64_t tally = cell.siblings.tally.load(std::memory_order_acquire);
  const std::uint64_t word = cell.siblings.reset.load(std::memory_order_acquire);
  const bool reset = word >> 32 == (n & 0xFFFF'FFFF) && word != 0;
  own = {0,
         0,
         reset ? wire::Verdict::reset : own.verdict(),
         own.decided_by(),
         own.delivered(),
         reset ? static_cast<wire::Reason>(word >> 16 & 0xFF) : own.reason(),
         own.bank(),
         own.late(),
         told(tally),
         skipped(tally),
         reset ? static_cast<std::uint16_t>((word & 0xFFFF) - 1) : own.vcpu(),
         own.status(),
         own.gpa(),
         own.latency_ns(),
         own.mcg_status(),
         0};
}

void close_siblings(memfail_shim& shim, const shm::Claim& claim) {
  join(shim.cell(claim.id), claim.n);
  shim.open_siblings.fetch_sub(1, std::memory_order_acq_rel);
  finish(shim, claim);
}

void note_reset(memfail_lane& lane, Siblings& siblings, std::uint64_t n, wire::Reason reason) {
  const std::uint64_t word = (n & 0xFFFF'FFFF) << 32 | static_cast<std::uint64_t>(reason) << 16 |
                             (static_cast<std::uint64_t>(lane.vcpu) + 1);
  // Only while its incident is open: a late one must not wipe the next one's out.
  if (is_open(siblings.tally.load(std::memory_order_acquire), n)) {
    siblings.reset.store(word, std::memory_order_release);
  }
  lane.flags.fetch_or(MEMFAIL_DO_RESET, std::memory_order_acq_rel);
  lane.pending.store(1, std::memory_order_release);
}

wire::Delivered inject_here(const memfail_lane& lane, const decision::MachineCheck& record,
                            const wire::SnapshotLine& snapshot) {
  if (set_mce(lane, record) != 0) return wire::Delivered::failed;
  return read_back(lane, record, snapshot).delivered;
}

// What became of the rule on this vCPU: kTold or kSkipped.
std::uint64_t follow_rule(memfail_lane& lane, Siblings& siblings, std::uint64_t n,
                          wire::SiblingRule rule) {
  const memfail_shim& shim = *lane.shim;
  const wire::SnapshotLine snapshot = take_snapshot(lane);
  const auto decision = decision::decide_sibling(rule, shim.profile, snapshot);
  if (decision.verdict == wire::Verdict::reset) note_reset(lane, siblings, n, decision.reason);
  if (decision.verdict != wire::Verdict::inject) return kSkipped;
  const wire::Delivered delivered = inject_here(lane, decision.record, snapshot);
  // It shuts down, and the guest with it: the event has to say so.
  if (delivered == wire::Delivered::triple_fault) {
    note_reset(lane, siblings, n, wire::Reason::triple_fault);
  }
  return delivered == wire::Delivered::delivered ? kTold : kSkipped;
}

// The posted function, on the sibling's own thread.
void apply_rule(void* argument) {
  auto& task = *static_cast<SiblingTask*>(argument);
  memfail_lane& lane = *task.lane;
  memfail_shim& shim = *lane.shim;
  const shm::Claim source = task.source;
  const wire::SiblingRule rule = task.rule;
  const std::uint32_t epoch = task.guest_epoch;
  task.busy.store(0, std::memory_order_release);
  Siblings& siblings = shim.cell(source.id).siblings;
  // A guest that was reset meanwhile knows nothing of the error.
  const bool stale = epoch != shim.guest_epoch.load(std::memory_order_acquire);
  const std::uint64_t result = stale ? kSkipped : follow_rule(lane, siblings, source.n, rule);
  if (count(siblings, source.n, result - kMissing) == Counted::kLast) close_siblings(shim, source);
}

SiblingTask* free_task(memfail_lane& lane) {
  for (SiblingTask& task : lane.sibling_tasks) {
    std::uint32_t idle = 0;
    if (task.busy.compare_exchange_strong(idle, 1, std::memory_order_acq_rel)) return &task;
  }
  return nullptr;
}

bool post(memfail_lane& sibling, const shm::Claim& source, wire::SiblingRule rule,
          std::uint32_t epoch) {
  const memfail_config& config = sibling.shim->config;
  SiblingTask* task = free_task(sibling);
  if (task == nullptr) return false;
  task->source = source;
  task->rule = rule;
  task->guest_epoch = epoch;
  const auto vcpu = static_cast<std::uint32_t>(sibling.vcpu);
  if (config.ops.post(config.opaque, vcpu, apply_rule, task) == 0) return true;
  task->busy.store(0, std::memory_order_release);
  return false;
}

}  // namespace

void start_siblings(memfail_lane& lane, const shm::Claim& claim, wire::SiblingRule rule,
                    std::uint64_t until_ns) {
  memfail_shim& shim = *lane.shim;
  CellState& cell = shim.cell(claim.id);
  const std::uint32_t epoch = cell.report.guest_epoch();
  const std::uint32_t others = rule == wire::SiblingRule::none ? 0 : shim.geometry.vcpus();
  shim.open_siblings.fetch_add(1, std::memory_order_acq_rel);
  // No deadline while we post: dispatch would count us as a sibling, and not those who
  // are still to be posted to.
  cell.siblings.until_ns.store(~std::uint64_t{0}, std::memory_order_relaxed);
  cell.siblings.tally.store(claim.n << kNumberShift | kMissing, std::memory_order_release);
  for (std::uint32_t vcpu = 0; vcpu < others; ++vcpu) {
    memfail_lane& other = shim.lanes[vcpu];
    if (&other == &lane || other.present.load(std::memory_order_acquire) == 0) continue;
    // Counted before it is posted: it may answer at once. After the deadline it is
    // still told, as the guest waits longer than we do.
    count(cell.siblings, claim.n, kMissing);
    if (!post(other, claim, rule, epoch)) count(cell.siblings, claim.n, kSkipped - kMissing);
  }
  cell.siblings.until_ns.store(until_ns, std::memory_order_relaxed);
  if (count(cell.siblings, claim.n, 0 - kMissing) == Counted::kLast) {
    close_siblings(shim, claim);
  } else {
    wake_dispatch(shim);  // for its timer
  }
}

std::uint64_t expire_siblings(memfail_shim& shim, std::uint64_t now) {
  if (shim.open_siblings.load(std::memory_order_acquire) == 0) return 0;
  std::uint64_t next = 0;
  for (std::uint32_t lane = 0; lane < shim.geometry.lanes(); ++lane) {
    for (std::uint32_t index = 0; index < shim.geometry.cells(lane); ++index) {
      const shm::CellId id{lane, index};
      Siblings& siblings = shim.cell(id).siblings;
      std::uint64_t tally = siblings.tally.load(std::memory_order_acquire);
      if (missing(tally) == 0) continue;
      const std::uint64_t until = siblings.until_ns.load(std::memory_order_relaxed);
      const std::uint64_t due = std::max(until, now + 1);
      // Who has not answered counts as skipped, though it may still be told.
      const std::uint64_t closed = tally + missing(tally) * (kSkipped - kMissing);
      if (now >= until && siblings.tally.compare_exchange_strong(tally, closed)) {
        close_siblings(shim, {id, tally >> kNumberShift});
      } else {  // not yet, or one has just answered: look again
        next = next == 0 ? due : std::min(next, due);
      }
    }
  }
  return next;
}

}  // namespace memfail::shim
