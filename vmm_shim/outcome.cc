// SPDX-License-Identifier: BSD-3-Clause
#include "vmm_shim/outcome.h"

#include "shm/step.h"
#include "sidecar/decision/severity.h"
#include "vmm_shim/wake.h"

namespace memfail::shim {
namespace {

wire::DecidedBy fallback_name(const memfail_shim& shim) {
  switch (shim.config.fallback) {
    case MEMFAIL_FALLBACK_VMM:
      return wire::DecidedBy::vmm;
    case MEMFAIL_FALLBACK_ABORT:
      return wire::DecidedBy::abort;
    case MEMFAIL_FALLBACK_BUILTIN:
      break;
  }
  return wire::DecidedBy::builtin;
}

}  // namespace

void drop_session(memfail_shim& shim, std::uint32_t area_serial) {
  shim.session.drop.store(area_serial, std::memory_order_release);
  wake_dispatch(shim);
}

namespace {

Answer wait_for(memfail_shim& shim, const shm::Claim& claim, std::uint64_t until_ns,
                bool on_record) {
  Answer answer;
  if (!shim.session_is_up()) return answer;
  answer.area_serial = shim.session.area_serial.load(std::memory_order_acquire);
  shm::WaitContext context;
  context.request = &shim.request;
  context.reply = &shim.reply;
  context.kick_fd = shim.session.kick.get();
  context.session_up = &shim.session.up;
  context.until_ns = until_ns;
  context.on_record = on_record;
  shm::WaitCounts counts;
  const shm::WaitResult result = shm::wait_for_reply(context, claim, counts);
  shim.slices.fetch_add(counts.found_by_slice, std::memory_order_relaxed);
  // kOther after all: a re-attach has put a fresh area in the old one's place.
  auto state = shm::LineState::kOther;
  if (result == shm::WaitResult::kReplied || (on_record && result != shm::WaitResult::kLying)) {
    state =
        shm::read_line(shim.reply.line(claim.id), shim.key(claim.id.lane), claim.n, answer.reply);
  }
  answer.replied = state == shm::LineState::kCommitted;
  if (answer.replied) MEMFAIL_STEP(verdict_seen);
  // Not on record, it may be in the middle of being written again.
  const bool torn = state == shm::LineState::kCorrupt && result == shm::WaitResult::kReplied;
  if (result == shm::WaitResult::kLying || torn) drop_session(shim, answer.area_serial);
  return answer;
}

}  // namespace

Answer ask(memfail_shim& shim, const shm::Claim& claim, std::uint64_t until_ns) {
  return wait_for(shim, claim, until_ns, false);
}

Answer ask_on_record(memfail_shim& shim, const shm::Claim& claim, std::uint64_t until_ns) {
  return wait_for(shim, claim, until_ns, true);
}

bool claim_outcome(const memfail_shim& shim, const shm::Claim& claim,
                   const wire::OutcomeLine& outcome) {
  std::byte* line = shim.request.line(claim.id, shm::LineKind::kOutcome);
  const std::uint64_t mine = claim.n << 16 | static_cast<std::uint64_t>(outcome.decided_by()) << 8 |
                             static_cast<std::uint64_t>(outcome.verdict());
  std::uint64_t seen = shm::load_word(line, wire::kOutcomeClaimOffset);
  if (seen >> 16 >= claim.n) return false;
  return std::atomic_ref<std::uint64_t>(
             *reinterpret_cast<std::uint64_t*>(line + wire::kOutcomeClaimOffset))
      .compare_exchange_strong(seen, mine, std::memory_order_acq_rel);
}

void commit_outcome(const memfail_shim& shim, const shm::Claim& claim,
                    const wire::OutcomeLine& outcome) {
  shm::write_line(shim.request.line(claim.id, shm::LineKind::kOutcome), outcome,
                  shim.key(claim.id.lane), claim.n);
  MEMFAIL_STEP(outcome_committed);
  shm::ring(shim.reply, shim.session.kick.get());
}

wire::OutcomeLine outside_outcome(const memfail_shim& shim, const wire::ReportLine& report,
                                  const Answer& answer, bool pause) {
  const bool no_address = report.code() == decision::kCodeKernel;
  // Without the sidecar's word the handler cannot look the address up (the table
  // has a lock): what it knows is that the access was not the guest's.
  const wire::Reason own = no_address ? wire::Reason::no_address : wire::Reason::outside_guest;
  const wire::Verdict verdict = pause ? wire::Verdict::pause : wire::Verdict::abort;
  const bool sidecar = answer.replied && answer.reply.verdict() == verdict;
  return {0,
          0,
          verdict,
          sidecar ? wire::DecidedBy::sidecar : fallback_name(shim),
          wire::Delivered::none,
          sidecar ? answer.reply.reason() : own,
          wire::kNoBank,
          0,
          0,
          0,
          wire::kNoVcpu,
          0,
          sidecar ? answer.reply.gpa() : wire::kNoAddress,
          shm::monotonic_ns() - report.entered_ns(),
          0,
          0};
}

}  // namespace memfail::shim
