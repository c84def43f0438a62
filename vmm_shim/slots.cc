// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/slots.h"

#include <algorithm>

#include "sidecar/decision/severity.h"
#include "vmm_shim/handle.h"

namespace memfail::shim {
namespace {

// SlotTask::posted. A vCPU and the deadline may both come to a report: whoever changes
// kOut has it, as its lines are written once only. The task can be posted again when
// its function has come back, not before.
constexpr std::uint32_t kBack = 0;
constexpr std::uint32_t kOut = 1;
constexpr std::uint32_t kExpired = 2;  // still out, and has nothing to do any more

bool change(SlotTask& task, std::uint32_t from, std::uint32_t to) {
  return task.posted.compare_exchange_strong(from, to, std::memory_order_acq_rel);
}

// The posted function, on the thread of the vCPU that was picked.
void handle_slot(void* argument) {
  auto& task = *static_cast<SlotTask*>(argument);
  memfail_lane& lane = *task.lane;
  const shm::Claim claim = task.claim;
  if (task.posted.exchange(kBack, std::memory_order_acq_rel) == kExpired) return;
  const int flags = handle_report(lane, claim);
  if (flags == MEMFAIL_RESUME) return;
  // memfail_handle() on this thread returns it to the VMM.
  lane.flags.fetch_or(static_cast<std::uint32_t>(flags), std::memory_order_acq_rel);
  lane.pending.store(1, std::memory_order_release);
}

bool post_to_a_vcpu(memfail_shim& shim, SlotTask& task, const shm::Claim& claim) {
  const memfail_config& config = shim.config;
  if (!change(task, kBack, kOut)) return false;
  task.claim = claim;
  for (std::uint32_t vcpu = 0; vcpu < shim.geometry.vcpus(); ++vcpu) {
    task.lane = &shim.lanes[vcpu];
    if (task.lane->present.load(std::memory_order_acquire) == 0) continue;
    if (config.ops.post(config.opaque, vcpu, handle_slot, &task) == 0) return true;
  }
  task.posted.store(kBack, std::memory_order_release);
  return false;
}

// The slot's committed report that nobody has taken up, if it can be handed on: an
// action-required one ends the VMM in its own handler.
std::optional<shm::Claim> next_report(memfail_shim& shim, shm::CellId id) {
  const std::uint64_t n =
      shm::load_word(shim.request.line(id, shm::LineKind::kReport), wire::kWordOffset) / 2;
  wire::ReportLine report;
  if (n <= shim.cell(id).handled.load() || !own_report(shim, {id, n}, report)) return {};
  const bool optional =
      decision::severity_of(report.kind(), report.code()) == decision::Severity::kActionOptional;
  return optional ? std::optional(shm::Claim{id, n}) : std::nullopt;
}

}  // namespace

std::uint64_t take_up_slots(memfail_shim& shim, std::uint64_t now) {
  const bool running = shim.running.load(std::memory_order_acquire) != 0;
  std::uint64_t next = 0;
  for (std::uint32_t slot = 0; slot < shm::kSlots; ++slot) {
    const shm::CellId id{shim.geometry.vcpus() + slot, 0};
    SlotTask& task = shim.slot_tasks[slot];
    if (const auto claim = next_report(shim, id)) {
      shim.cell(id).handled.store(claim->n, std::memory_order_release);
      const bool posted = running && post_to_a_vcpu(shim, task, *claim);
      task.until_ns = posted ? now + shim.deadline_ns : 0;
      if (!posted) handle_without_vcpu(shim, *claim);
    } else if (task.until_ns != 0 && now >= task.until_ns) {
      task.until_ns = 0;
      if (change(task, kOut, kExpired)) handle_without_vcpu(shim, task.claim);
    }
    if (task.until_ns != 0) next = next == 0 ? task.until_ns : std::min(next, task.until_ns);
  }
  return next;
}

}  // namespace memfail::shim
