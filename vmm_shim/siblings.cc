// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/siblings.h"

#include <algorithm>

#include "vmm_shim/handle.h"
#include "vmm_shim/snapshot.h"
#include "vmm_shim/wake.h"

namespace memfail::shim {
namespace {

constexpr std::uint64_t kCountMask = 0xFFFF;

// One answer less. True for the one who has to commit the outcome.
bool answered(Siblings& siblings, std::uint64_t n) {
  std::uint64_t open = siblings.open.load(std::memory_order_acquire);
  while (open >> 16 == n && (open & kCountMask) != 0) {
    if (siblings.open.compare_exchange_weak(open, open - 1, std::memory_order_acq_rel)) {
      return (open & kCountMask) == 1;
    }
  }
  return false;  // too late: the deadline has closed it
}

// Puts what the siblings said into the outcome. A reset of one is the guest's.
void join(CellState& cell) {
  const Siblings& siblings = cell.siblings;
  wire::OutcomeLine& own = cell.outcome;
  const std::uint32_t reset = siblings.reset.load(std::memory_order_acquire);
  own = {0,
         0,
         reset != 0 ? wire::Verdict::reset : own.verdict(),
         own.decided_by(),
         own.delivered(),
         reset != 0 ? static_cast<wire::Reason>(siblings.reset_reason.load()) : own.reason(),
         own.bank(),
         own.late(),
         static_cast<std::uint16_t>(siblings.told.load()),
         static_cast<std::uint16_t>(siblings.skipped.load()),
         reset != 0 ? static_cast<std::uint16_t>(reset - 1) : own.vcpu(),
         own.status(),
         own.gpa(),
         own.latency_ns(),
         own.mcg_status(),
         0};
}

void close_siblings(memfail_shim& shim, const shm::Claim& claim) {
  join(shim.cell(claim.id));
  shim.open_siblings.fetch_sub(1, std::memory_order_acq_rel);
  finish(shim, claim);
}

void note_reset(memfail_lane& lane, Siblings& siblings, wire::Reason reason) {
  siblings.reset_reason.store(static_cast<std::uint8_t>(reason));
  siblings.reset.store(static_cast<std::uint32_t>(lane.vcpu) + 1, std::memory_order_release);
  lane.flags.fetch_or(MEMFAIL_DO_RESET, std::memory_order_acq_rel);
  lane.pending.store(1, std::memory_order_release);
}

bool inject_here(const memfail_lane& lane, const decision::MachineCheck& record,
                 const wire::SnapshotLine& snapshot) {
  return set_mce(lane, record) == 0 &&
         read_back(lane, record, snapshot).delivered == wire::Delivered::delivered;
}

// The posted function, on the sibling's own thread.
void apply_rule(void* argument) {
  auto& task = *static_cast<SiblingTask*>(argument);
  memfail_lane& lane = *task.lane;
  memfail_shim& shim = *lane.shim;
  const shm::Claim source = task.source;
  const wire::SiblingRule rule = task.rule;
  task.busy.store(0, std::memory_order_release);
  Siblings& siblings = shim.cell(source.id).siblings;
  const wire::SnapshotLine snapshot = take_snapshot(lane);
  const auto decision = decision::decide_sibling(rule, shim.profile, snapshot);
  const bool told = decision.verdict == wire::Verdict::inject &&
                    inject_here(lane, decision.record, snapshot);
  (told ? siblings.told : siblings.skipped).fetch_add(1, std::memory_order_acq_rel);
  if (decision.verdict == wire::Verdict::reset) note_reset(lane, siblings, decision.reason);
  if (answered(siblings, source.n)) close_siblings(shim, source);
}

SiblingTask* free_task(memfail_lane& lane) {
  for (SiblingTask& task : lane.sibling_tasks) {
    std::uint32_t idle = 0;
    if (task.busy.compare_exchange_strong(idle, 1, std::memory_order_acq_rel)) return &task;
  }
  return nullptr;
}

bool post(memfail_lane& sibling, const shm::Claim& source, wire::SiblingRule rule) {
  const memfail_config& config = sibling.shim->config;
  SiblingTask* task = free_task(sibling);
  if (task == nullptr) return false;
  task->source = source;
  task->rule = rule;
  const auto vcpu = static_cast<std::uint32_t>(sibling.vcpu);
  if (config.ops.post(config.opaque, vcpu, apply_rule, task) == 0) return true;
  task->busy.store(0, std::memory_order_release);
  return false;
}

}  // namespace

void start_siblings(memfail_lane& lane, const shm::Claim& claim, wire::SiblingRule rule) {
  memfail_shim& shim = *lane.shim;
  Siblings& siblings = shim.cell(claim.id).siblings;
  siblings.told.store(0);
  siblings.skipped.store(0);
  siblings.reset.store(0);
  const std::uint32_t others = rule == wire::SiblingRule::none ? 0 : shim.geometry.vcpus();
  siblings.open.store(claim.n << 16 | 1, std::memory_order_release);
  shim.open_siblings.fetch_add(1, std::memory_order_acq_rel);
  for (std::uint32_t vcpu = 0; vcpu < others; ++vcpu) {
    memfail_lane& other = shim.lanes[vcpu];
    if (&other == &lane || other.present.load(std::memory_order_acquire) == 0) continue;
    siblings.open.fetch_add(1, std::memory_order_acq_rel);
    if (post(other, claim, rule)) continue;
    siblings.skipped.fetch_add(1, std::memory_order_acq_rel);
    siblings.open.fetch_sub(1, std::memory_order_acq_rel);
  }
  if (answered(siblings, claim.n)) {
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
      CellState& cell = shim.cell(id);
      std::uint64_t open = cell.siblings.open.load(std::memory_order_acquire);
      if ((open & kCountMask) == 0) continue;
      const std::uint64_t due = std::max(cell.until_ns, now + 1);
      if (now < cell.until_ns) {
        next = next == 0 ? due : std::min(next, due);
      } else if (cell.siblings.open.compare_exchange_strong(open, open & ~kCountMask)) {
        close_siblings(shim, {id, open >> 16});
      } else {
        next = due;  // one has just answered: look again
      }
    }
  }
  return next;
}

}  // namespace memfail::shim
