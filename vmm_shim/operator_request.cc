// SPDX-License-Identifier: BSD-3-Clause
//
// An operator's request on its way: from the control socket to a vCPU's thread, and
// its answer back. Who opted in and what may be asked is checked here again: the
// sidecar's word is not enough.
#include "vmm_shim/operator_request.h"

#include <cstdio>

#include "sidecar/decision/severity.h"
#include "vmm_shim/drill.h"
#include "vmm_shim/injection.h"
#include "vmm_shim/wake.h"

namespace memfail::shim {
namespace {

using wire::OperatorRefusal;
using Where = OperatorTask::Where;

// How long a vCPU's thread may take to come round. A person waits for it.
constexpr std::uint64_t kTakeUpMs = 1000;

bool refuse_message(Session& session, const char* what) {
  std::snprintf(session.last_error.data(), session.last_error.size(), "the sidecar asks for %s",
                what);
  return false;
}

bool ask(memfail_shim& shim, OperatorRequest request) {
  OperatorTask& task = shim.operator_task;
  if (task.asked || task.answered) {
    return refuse_message(shim.session, "a second thing before the first is answered");
  }
  request.area_serial = shim.session.area_serial.load(std::memory_order_acquire);
  task.request = request;
  task.asked = true;
  return true;
}

bool may_ask(const memfail_shim& shim, wire::Feature feature) {
  const Session& session = shim.session;
  return session.state.load(std::memory_order_acquire) == MEMFAIL_ATTACHED &&
         (session.features & static_cast<std::uint64_t>(feature)) != 0;
}

// To the connection that it was asked by, if that still stands.
void answer(memfail_shim& shim, const OperatorRequest& request, const OperatorAnswer& given) {
  const shm::Locked lock(shim.session.mutex);
  const bool same = request.area_serial == shim.session.area_serial.load();
  if (!same || shim.session.state.load() != MEMFAIL_ATTACHED) return;
  shim.operator_task.answer = given;
  shim.operator_task.answered_id = request.id;
  shim.operator_task.answered = true;
}

// The posted function, on the vCPU's thread.
void perform(void* argument) {
  auto& task = *static_cast<OperatorTask*>(argument);
  std::uint32_t out = Where::kOut;
  if (!task.where.compare_exchange_strong(out, Where::kRuns, std::memory_order_acq_rel)) {
    task.where.store(Where::kBack, std::memory_order_release);  // it was given up
    return;
  }
  memfail_lane& lane = *task.lane;
  task.result = task.out.injects ? inject_here(lane, task.out) : drill_here(lane, task.out);
  const memfail_shim& shim = *lane.shim;
  task.where.store(Where::kDone, std::memory_order_release);
  wake_dispatch(shim);
}

OperatorAnswer check_vcpu(const memfail_shim& shim, std::uint32_t vcpu) {
  if (vcpu >= shim.geometry.vcpus()) {
    return refused(OperatorRefusal::vcpu_index, vcpu, shim.geometry.vcpus() - 1);
  }
  if (shim.lanes[vcpu].present.load(std::memory_order_acquire) == 0) {
    return refused(OperatorRefusal::vcpu_offline, vcpu);
  }
  return {};
}

OperatorAnswer check(memfail_shim& shim, const OperatorRequest& request) {
  if (shim.operator_task.where.load(std::memory_order_acquire) != Where::kBack) {
    return refused(OperatorRefusal::busy);
  }
  if (shim.running.load(std::memory_order_acquire) == 0) {
    return refused(OperatorRefusal::not_running);
  }
  const OperatorAnswer vcpu = check_vcpu(shim, request.vcpu);
  if (vcpu.refusal != OperatorRefusal::none) return vcpu;
  return request.injects ? check_injection(shim, request) : check_drill(shim, request);
}

// The refusal, or `none`: it is on its way.
OperatorAnswer start(memfail_shim& shim, const OperatorRequest& request, std::uint64_t now) {
  const OperatorAnswer checked = check(shim, request);
  if (checked.refusal != OperatorRefusal::none) return checked;
  OperatorTask& task = shim.operator_task;
  task.lane = &shim.lanes[request.vcpu];
  task.out = request;
  task.until_ns = now + kTakeUpMs * kNsPerMs;
  task.where.store(Where::kOut, std::memory_order_release);
  const memfail_config& config = shim.config;
  if (config.ops.post(config.opaque, request.vcpu, perform, &task) == 0) return {};
  task.until_ns = 0;
  task.where.store(Where::kBack, std::memory_order_release);
  return refused(OperatorRefusal::vcpu_no_thread, request.vcpu);
}

bool take_request(memfail_shim& shim, OperatorRequest& request) {
  const shm::Locked lock(shim.session.mutex);
  request = shim.operator_task.request;
  const bool asked = shim.operator_task.asked;
  shim.operator_task.asked = false;
  return asked;
}

void take_result(memfail_shim& shim) {
  OperatorTask& task = shim.operator_task;
  if (task.where.load(std::memory_order_acquire) != Where::kDone) return;
  answer(shim, task.out, task.result);
  task.until_ns = 0;
  task.where.store(Where::kBack, std::memory_order_release);
}

void expire(memfail_shim& shim, std::uint64_t now) {
  OperatorTask& task = shim.operator_task;
  if (task.until_ns == 0 || now < task.until_ns) return;
  task.until_ns = 0;  // one that runs now wakes us when it is done
  const OperatorRequest request = task.out;
  std::uint32_t out = Where::kOut;
  if (task.where.compare_exchange_strong(out, Where::kExpired, std::memory_order_acq_rel)) {
    answer(shim, request, refused(OperatorRefusal::vcpu_silent, kTakeUpMs));
  }
}

}  // namespace

bool ask_for_drill(memfail_shim& shim, std::uint64_t id, const wire::Drill& drill) {
  if (!may_ask(shim, wire::Feature::drills) || drill.kind() > wire::DrillKind::MAX) {
    return refuse_message(shim.session, "a drill that was not agreed on");
  }
  OperatorRequest request;
  request.id = id;
  request.vcpu = drill.vcpu();
  request.gpa = drill.gpa();
  request.code = drill.kind() == wire::DrillKind::action_required ? decision::kCodeActionRequired
                                                                  : decision::kCodeActionOptional;
  return ask(shim, request);
}

bool ask_for_injection(memfail_shim& shim, std::uint64_t id, const wire::Inject& inject) {
  if (!may_ask(shim, wire::Feature::injections)) {
    return refuse_message(shim.session, "an injection that was not agreed on");
  }
  OperatorRequest request;
  request.id = id;
  request.injects = true;
  request.vcpu = inject.vcpu();
  request.record = {inject.status(), inject.addr(), inject.misc(), inject.mcg_status(),
                    inject.bank()};
  request.broadcast = inject.broadcast();
  return ask(shim, request);
}

void forget_operator(memfail_shim& shim) {
  shim.operator_task.asked = false;
  shim.operator_task.answered = false;
}

std::uint64_t serve_operator(memfail_shim& shim, std::uint64_t now) {
  take_result(shim);
  OperatorRequest request;
  if (take_request(shim, request)) {
    const OperatorAnswer started = start(shim, request, now);
    if (started.refusal != OperatorRefusal::none) answer(shim, request, started);
  }
  expire(shim, now);
  return shim.operator_task.until_ns;
}

}  // namespace memfail::shim
