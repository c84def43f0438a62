// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/handle.h"

#include <cerrno>

#include "shm/reply_wait.h"
#include "shm/step.h"
#include "sidecar/decision/machine_check.h"
#include "sidecar/decision/severity.h"
#include "vmm_shim/incident.h"
#include "vmm_shim/kvm.h"
#include "vmm_shim/outcome.h"
#include "vmm_shim/regions.h"
#include "vmm_shim/siblings.h"
#include "vmm_shim/snapshot.h"
#include "vmm_shim/verdict.h"

namespace memfail::shim {
namespace {

using wire::Delivered;
using wire::Verdict;

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

// The outcome's fields while they are being found out.
struct Result {
  Delivered delivered = Delivered::none;
  std::uint64_t status = 0;
  std::uint64_t mcg_status = 0;
  std::uint8_t bank = wire::kNoBank;
  wire::Reason why_not = wire::Reason::none;  // it did not take
};

std::int32_t vcpu_of(const memfail_lane* lane) { return lane == nullptr ? -1 : lane->vcpu; }

Case open_case(memfail_shim& shim, memfail_lane* lane, const shm::Claim& claim,
               const wire::ReportLine& report) {
  Case incident;
  incident.lane = lane;
  incident.claim = claim;
  incident.report = report;
  incident.severity = decision::severity_of(report.kind(), report.code());
  incident.generation = shim.regions.generation.load(std::memory_order_acquire);
  incident.where = locate(shim, report);
  if (report.kind() != wire::ReportKind::remembered) {
    const std::uint64_t window = shim.rules_now().repeat_seconds * kNsPerSecond;
    incident.history = shim.poison.note_report(
        incident.where,
        {incident.severity, report.drill() != 0, report.entered_ns(), vcpu_of(lane)}, window);
  }
  return incident;
}

void add_snapshot(memfail_shim& shim, Case& incident) {
  if (!decision::needs_snapshot(incident.report.kind(), incident.report.thread(),
                                incident.severity)) {
    return;
  }
  if (incident.lane != nullptr) incident.snapshot = take_snapshot(*incident.lane);
  shm::write_line(shim.request.line(incident.claim.id, shm::LineKind::kSnapshot), incident.snapshot,
                  shim.key(incident.claim.id.lane), incident.claim.n);
  MEMFAIL_STEP(snapshot_committed);
  shm::ring(shim.reply, shim.session.kick.get());
}

// The world the verdict was asked for is gone: the guest was reset, or its memory
// is another.
bool was_reset(const memfail_shim& shim, const wire::ReportLine& report) {
  return shim.guest_epoch.load(std::memory_order_acquire) != report.guest_epoch();
}

// The sidecar looks the page up in the regions of the report, we in those of now.
bool is_stale(const memfail_shim& shim, const Case& incident, wire::DecidedBy by) {
  const std::uint32_t decided_under =
      by == wire::DecidedBy::sidecar ? incident.report.region_generation() : incident.generation;
  return was_reset(shim, incident.report) ||
         shim.regions.generation.load(std::memory_order_acquire) != decided_under;
}

// Why a record did not take: of an access that comes again if nothing is done, or of a
// vCPU whose next entry ends in a shutdown. None: it took, or nobody can tell. What a
// nested guest hides (`unverified`) is left alone: it is more likely told than not, a
// reset would be for nothing, and a guest that was not told meets the page again, which
// the count of repeats ends.
wire::Reason why_not_taken(const ReadBack& seen) {
  if (seen.delivered == Delivered::dropped) return seen.why;
  return seen.delivered == Delivered::triple_fault ? wire::Reason::triple_fault
                                                   : wire::Reason::none;
}

Result inject(const Case& incident, const decision::MachineCheck& record) {
  Result result;
  result.bank = record.bank;
  result.status = record.status;
  result.mcg_status = record.mcg_status;
  // Without a vCPU nobody injects: is_plausible() has seen to that.
  if (incident.lane == nullptr || set_mce(*incident.lane, record) != 0) {
    result.delivered = Delivered::failed;
    result.why_not = wire::Reason::dropped_by_kvm;
    return result;
  }
  MEMFAIL_STEP(machine_check_set);
  const ReadBack seen = read_back(*incident.lane, record, incident.snapshot);
  result.delivered = seen.delivered;
  result.why_not = why_not_taken(seen);
  if (seen.delivered == Delivered::delivered) {  // with OVER, should KVM have added it
    result.status = seen.status;
    result.mcg_status = seen.mcg_status;
  }
  return result;
}

Result carry_out(const memfail_shim& shim, const Case& incident, const Choice& choice) {
  const decision::Decision& decision = choice.decision;
  Result result;
  const bool injects =
      decision.verdict == Verdict::inject || decision.verdict == Verdict::inject_deferred;
  const bool resets = decision.verdict == Verdict::reset;
  if ((injects && is_stale(shim, incident, choice.by)) ||
      (resets && was_reset(shim, incident.report))) {
    result.delivered = Delivered::stale;
  } else if (injects) {
    result = inject(incident, decision.record);
  }
  return result;
}

// The verdict that counts after carrying out. What was dropped says why, also where
// nothing follows.
Choice escalated(const Choice& choice, const Result& result) {
  Choice final = choice;
  if (result.why_not == wire::Reason::none) return final;
  const bool ends = decision::ends_it(choice.decision.otherwise);
  if (ends) final.decision.verdict = choice.decision.otherwise;
  if (ends || result.delivered == Delivered::dropped) final.decision.reason = result.why_not;
  return final;
}

// A nested guest hides whether it took; its siblings must not be left waiting. QEMU
// tells them also where the first vCPU was told nothing. A guest that is reset is not.
bool tells_siblings(const Case& incident, const Choice& choice, Delivered delivered) {
  if (incident.lane == nullptr) return false;
  if (choice.decision.verdict == Verdict::ignore) {
    return choice.decision.siblings != wire::SiblingRule::none && delivered == Delivered::none;
  }
  return delivered == Delivered::delivered || delivered == Delivered::unverified;
}

int flags_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::reset:
      return MEMFAIL_DO_RESET;
    case Verdict::pause:
      return MEMFAIL_DO_PAUSE;
    case Verdict::none:
      return MEMFAIL_HAND_BACK;
    default:
      return MEMFAIL_RESUME;
  }
}

wire::OutcomeLine outcome_of(const Case& incident, const Choice& choice, const Result& result) {
  const std::uint16_t vcpu =
      incident.lane == nullptr ? wire::kNoVcpu : static_cast<std::uint16_t>(incident.lane->vcpu);
  return {0,
          0,
          choice.decision.verdict,
          choice.by,
          result.delivered,
          choice.decision.reason,
          result.bank,
          0,
          0,
          0,
          vcpu,
          result.status,
          result.bank == wire::kNoBank ? choice.decision.gpa : choice.decision.record.address,
          shm::monotonic_ns() - incident.report.entered_ns(),
          result.mcg_status,
          0};
}

// What does not fit is lost: an access that is action required comes again.
void hand_back(memfail_lane& lane, const wire::ReportLine& report) {
  if (lane.handed_back_count == lane.handed_back.size()) return;
  siginfo_t& info = lane.handed_back[lane.handed_back_count++];
  info = siginfo_t{};
  info.si_signo = SIGBUS;
  info.si_code = report.code();
  info.si_addr = reinterpret_cast<void*>(report.hva());
  info.si_addr_lsb = report.lsb();
}

// Whether the guest is to be told later of what it was not told now. QEMU never does;
// under its policy only what the VM's pause kept from the guest is made up for.
bool is_remembered(memfail_shim& shim, const Case& incident, const decision::Decision& decision,
                   Delivered delivered) {
  if (incident.severity != decision::Severity::kActionOptional) return false;
  const bool dropped = delivered == Delivered::dropped || delivered == Delivered::failed;
  if (decision.verdict != Verdict::ignore && !dropped) return false;
  return decision.reason == wire::Reason::vm_not_running ||
         shim.rules_now().policy == decision::Policy::kRecommended;
}

// What the list of broken pages learns from the outcome.
void note_outcome(memfail_shim& shim, const Case& incident, const decision::Decision& decision,
                  Delivered delivered) {
  const bool told = delivered == Delivered::delivered;  // a nested guest hides whether it was
  if (told) shim.poison.note_told(incident.where);
  if (decision.verdict == Verdict::retry) {
    shim.poison.take_back_repeat(incident.where, vcpu_of(incident.lane));
  }
  // Asked for again and refused: the sidecar does not want it. What a region change or
  // a pause came in the way of was not refused.
  const bool again = incident.report.kind() == wire::ReportKind::remembered;
  const bool undone =
      delivered == Delivered::stale || decision.reason == wire::Reason::vm_not_running;
  if (again && !told && !undone) shim.poison.note_to_tell(incident.where, false);
  if (!again && is_remembered(shim, incident, decision, delivered)) {
    shim.poison.note_to_tell(incident.where, true);
  }
}

void tell_poisoned(const memfail_shim& shim, const Case& incident) {
  if (incident.report.kind() == wire::ReportKind::remembered) return;  // it knows
  if (incident.report.drill() != 0) return;  // it would replace a page that is whole
  if (shim.config.ops.poisoned == nullptr) return;
  if (incident.where.address != decision::AddressClass::kGuestRam) return;
  shim.config.ops.poisoned(shim.config.opaque, incident.where.hva, incident.where.gpa,
                           incident.where.lost_size);
}

// After the outcome: what the verdict asks of the VMM. A mask of MEMFAIL_*.
int act(memfail_shim& shim, const Case& incident, const Choice& choice, Delivered delivered,
        const memfail_incident* told) {
  const Verdict verdict = choice.decision.verdict;
  if (delivered == Delivered::stale) return MEMFAIL_RESUME;
  if (verdict == Verdict::none && incident.lane != nullptr) {
    hand_back(*incident.lane, incident.report);
  }
  if (verdict == Verdict::abort) shim.config.ops.abort(shim.config.opaque, told);
  return flags_of(verdict);
}

}  // namespace

int close_case(memfail_shim& shim, const Case& incident, const Choice& choice) {
  // Claimed before the cell's state is touched: who does not get it must not write
  // over what the one who has it is doing.
  wire::OutcomeLine outcome = outcome_of(incident, choice, {});
  if (!claim_outcome(shim, incident.claim, outcome)) return MEMFAIL_RESUME;
  MEMFAIL_STEP(outcome_claimed);
  const Result result = carry_out(shim, incident, choice);
  const Choice final = escalated(choice, result);
  outcome = outcome_of(incident, final, result);
  const memfail_incident told = incident_of(incident.report, outcome, incident.where.lost_size);
  CellState& cell = shim.cell(incident.claim.id);
  cell.report = incident.report;
  cell.lost_size = incident.where.lost_size;
  cell.outcome = outcome;
  note_outcome(shim, incident, final.decision, result.delivered);
  tell_poisoned(shim, incident);
  if (tells_siblings(incident, final, result.delivered)) {
    start_siblings(*incident.lane, incident.claim, choice.decision.siblings,
                   incident.report.entered_ns() + shim.deadline_ns);
  } else {
    finish(shim, incident.claim);
  }
  return act(shim, incident, final, result.delivered, &told);
}

bool own_report(const memfail_shim& shim, const shm::Claim& claim, wire::ReportLine& report) {
  return shm::read_line(shim.request.line(claim.id, shm::LineKind::kReport),
                        shim.key(claim.id.lane), claim.n, report) == shm::LineState::kCommitted;
}

int set_mce(const memfail_lane& lane, const decision::MachineCheck& record) {
  const memfail_config& config = lane.shim->config;
  if (config.ops.set_mce != nullptr) {
    const memfail_mce mce = {record.status, record.address, record.misc, record.mcg_status,
                             record.bank};
    return config.ops.set_mce(config.opaque, static_cast<std::uint32_t>(lane.vcpu), &mce);
  }
  kvm_x86_mce mce{};
  mce.status = record.status;
  mce.addr = record.address;
  mce.misc = record.misc;
  mce.mcg_status = record.mcg_status;
  mce.bank = record.bank;
  return ::ioctl(lane.vcpu_fd, kSetMce, &mce) == 0 ? 0 : -errno;
}

void finish(memfail_shim& shim, const shm::Claim& claim) {
  CellState& cell = shim.cell(claim.id);
  std::uint64_t before = cell.finished.load(std::memory_order_acquire);
  if (before >= claim.n || !cell.finished.compare_exchange_strong(before, claim.n)) return;
  const memfail_incident told = incident_of(cell.report, cell.outcome, cell.lost_size);
  // From here on the sidecar may retire the cell and a handler claim it again.
  commit_outcome(shim, claim, cell.outcome);
  if (shim.config.ops.incident != nullptr) shim.config.ops.incident(shim.config.opaque, &told);
}

int handle_report(memfail_lane& lane, const shm::Claim& claim) {
  memfail_shim& shim = *lane.shim;
  wire::ReportLine report;
  if (!own_report(shim, claim, report)) return MEMFAIL_RESUME;
  shim.cell(claim.id).handled.store(claim.n, std::memory_order_release);
  Case incident = open_case(shim, &lane, claim, report);
  add_snapshot(shim, incident);
  const Choice choice = choose(shim, incident, report.entered_ns() + shim.deadline_ns);
  return close_case(shim, incident, choice);
}

int handle_without_cell(memfail_lane& lane, const wire::ReportLine& report) {
  memfail_shim& shim = *lane.shim;
  Case incident = open_case(shim, &lane, {}, report);
  incident.snapshot = take_snapshot(lane);
  const Choice choice = fall_back(shim, incident);
  const Result result = carry_out(shim, incident, choice);
  const Choice final = escalated(choice, result);
  const memfail_incident told =
      incident_of(report, outcome_of(incident, final, result), incident.where.lost_size);
  note_outcome(shim, incident, final.decision, result.delivered);
  tell_poisoned(shim, incident);
  return act(shim, incident, final, result.delivered, &told);
}

void handle_without_vcpu(memfail_shim& shim, const shm::Claim& claim) {
  wire::ReportLine report;
  if (!own_report(shim, claim, report)) return;
  shim.cell(claim.id).handled.store(claim.n, std::memory_order_release);
  Case incident = open_case(shim, nullptr, claim, report);
  add_snapshot(shim, incident);
  const Choice choice{decide_here(shim, incident), wire::DecidedBy::builtin};
  close_case(shim, incident, choice);
}

}  // namespace memfail::shim
