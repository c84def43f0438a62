// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/verdict.h"

#include "sidecar/decision/machine_check.h"
#include "vmm_shim/outcome.h"
#include "vmm_shim/regions.h"

namespace memfail::shim {
namespace {

decision::Decision decision_of(const wire::ReplyLine& reply) {
  decision::Decision decision;
  decision.verdict = reply.verdict();
  decision.reason = reply.reason();
  decision.siblings = reply.sibling_rule();
  decision.record = {reply.status(), reply.address(), reply.misc(), reply.mcg_status(),
                     reply.bank()};
  decision.otherwise = reply.otherwise();
  decision.gpa = reply.gpa();
  return decision;
}

bool is_known(const wire::ReplyLine& reply) {
  return reply.verdict() >= wire::Verdict::inject && reply.verdict() <= wire::Verdict::abort &&
         reply.reason() <= wire::Reason::MAX && reply.otherwise() <= wire::Verdict::abort &&
         reply.sibling_rule() <= wire::SiblingRule::broadcast_ready;
}

// Whether `gpa` is the reported page, under any of its guest addresses.
bool is_page(memfail_shim& shim, const Case& incident, std::uint64_t gpa) {
  if (incident.where.address != decision::AddressClass::kGuestRam) return false;
  return gpa == incident.where.gpa || is_backed_by(shim, gpa, incident.where.hva);
}

// A hijacked sidecar may give its own VM a plausible machine check and no more: one
// of the known records, in a bank that is there, for the page that was reported.
bool is_plausible(memfail_shim& shim, const Case& incident, const decision::Decision& decision) {
  const bool injects = decision.verdict == wire::Verdict::inject ||
                       decision.verdict == wire::Verdict::inject_deferred;
  if (!injects) return decision.gpa == wire::kNoAddress || is_page(shim, incident, decision.gpa);
  if (incident.lane == nullptr) return false;
  const decision::MachineCheck& record = decision.record;
  if (record.bank >= (shim.profile.mcg_cap_kvm & decision::kMcgCapBanks)) return false;
  if (record.bank >= decision::kMaxBanks || decision.gpa != record.address) return false;
  if (!decision::is_template(record)) return false;
  // UCNA clears MCG_STATUS: the guest's handler would lose what it is handling.
  const bool clears = record.mcg_status == 0;
  if (clears && (incident.snapshot.mcg_status() & decision::kMcgStatusMcip) != 0) return false;
  return is_page(shim, incident, record.address);
}

}  // namespace

Choice fall_back(memfail_shim& shim, const Case& incident) {
  shim.fallbacks.fetch_add(1, std::memory_order_relaxed);
  Choice choice;
  switch (shim.config.fallback) {
    case MEMFAIL_FALLBACK_VMM:
      // The VMM would take the page for broken, and replace it.
      if (incident.report.drill() != 0) break;
      choice.by = wire::DecidedBy::vmm;
      choice.decision.gpa = incident.where.gpa;
      return choice;
    case MEMFAIL_FALLBACK_ABORT:
      choice.by = wire::DecidedBy::abort;
      choice.decision.verdict = wire::Verdict::abort;
      choice.decision.reason = wire::Reason::policy;
      choice.decision.gpa = incident.where.gpa;
      return choice;
    case MEMFAIL_FALLBACK_BUILTIN:
      break;
  }
  return {decide_here(shim, incident), wire::DecidedBy::builtin};
}

decision::Decision decide_here(memfail_shim& shim, const Case& incident) {
  decision::Input input;
  input.guest = shim.profile;
  input.where = incident.where;
  input.severity = incident.severity;
  input.kind = incident.report.kind();
  input.thread = incident.report.thread();
  input.snapshot = incident.snapshot;
  input.history = incident.history;
  input.vm_running = shim.running.load(std::memory_order_acquire) != 0;
  return decision::decide(shim.rules_now(), input);
}

Choice choose(memfail_shim& shim, const Case& incident, std::uint64_t until_ns) {
  // Only this side knows whether the VM runs: what is remembered needs no question.
  const bool running = shim.running.load(std::memory_order_acquire) != 0;
  if (!running && incident.severity == decision::Severity::kActionOptional) {
    return {decide_here(shim, incident), wire::DecidedBy::builtin};
  }
  const Answer answer = ask(shim, incident.claim, until_ns);
  if (!answer.replied) return fall_back(shim, incident);
  const decision::Decision decision = decision_of(answer.reply);
  if (is_known(answer.reply) && is_plausible(shim, incident, decision)) {
    return {decision, wire::DecidedBy::sidecar};
  }
  drop_session(shim, answer.area_serial);
  return fall_back(shim, incident);
}

}  // namespace memfail::shim
