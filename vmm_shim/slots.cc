// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/slots.h"

#include "sidecar/decision/severity.h"
#include "vmm_shim/handle.h"

namespace memfail::shim {
namespace {

// The posted function, on the thread of the vCPU that was picked.
void handle_slot(void* argument) {
  const auto& task = *static_cast<SlotTask*>(argument);
  const int flags = handle_report(*task.lane, task.claim);
  if (flags == MEMFAIL_RESUME) return;
  // memfail_handle() on this thread returns it to the VMM.
  task.lane->flags.fetch_or(static_cast<std::uint32_t>(flags), std::memory_order_acq_rel);
  task.lane->pending.store(1, std::memory_order_release);
}

bool post_to_a_vcpu(memfail_shim& shim, SlotTask& task) {
  const memfail_config& config = shim.config;
  for (std::uint32_t vcpu = 0; vcpu < shim.geometry.vcpus(); ++vcpu) {
    task.lane = &shim.lanes[vcpu];
    if (task.lane->present.load(std::memory_order_acquire) == 0) continue;
    if (config.ops.post(config.opaque, vcpu, handle_slot, &task) == 0) return true;
  }
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

void take_up_slots(memfail_shim& shim) {
  const bool running = shim.running.load(std::memory_order_acquire) != 0;
  for (std::uint32_t slot = 0; slot < shm::kSlots; ++slot) {
    const auto claim = next_report(shim, {shim.geometry.vcpus() + slot, 0});
    if (!claim) continue;
    SlotTask& task = shim.slot_tasks[slot];
    task.claim = *claim;
    shim.cell(claim->id).handled.store(claim->n, std::memory_order_release);
    if (!running || !post_to_a_vcpu(shim, task)) handle_without_vcpu(shim, *claim);
  }
}

}  // namespace memfail::shim
